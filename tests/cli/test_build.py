"""What the command line says of the Python it runs on."""

import sys
import warnings

import pytest

from runner_c.command import build

WARNING = (
    "The global interpreter lock (GIL) has been enabled to load module 'oldlib', which has not declared that it can "
    "run safely without the GIL."
)


@pytest.fixture
def is_on(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Pretend to be a free-threaded build; the list's one item says whether the GIL is on."""
    state = [False]
    monkeypatch.setattr(build, "is_free_threaded", lambda: True)
    monkeypatch.setattr(build, "is_gil_enabled", lambda: state[0])
    return state


def test_the_python_is_described_as_it_is() -> None:
    text = build.describe_python()
    assert text.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}.")
    assert ("free-threaded" in text) is build.is_free_threaded()
    assert build.is_gil_enabled() is not build.is_free_threaded()


def test_a_module_that_switches_the_gil_on_is_named(is_on: list[bool]) -> None:
    watch = build.GilWatch()
    with watch.watching():
        warnings.warn(WARNING, RuntimeWarning, stacklevel=1)
        is_on[0] = True
    complaint = watch.complaint()
    assert complaint is not None
    assert "module oldlib does not declare" in complaint
    assert "free-threaded but the GIL is on" in build.describe_python()


def test_there_is_no_complaint_while_the_gil_stays_off(is_on: list[bool]) -> None:
    watch = build.GilWatch()
    with watch.watching():
        pass
    assert watch.complaint() is None


def test_a_gil_that_was_on_before_the_bot_was_imported_is_told_apart(
    is_on: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_on[0] = True
    monkeypatch.delenv("PYTHON_GIL", raising=False)
    assert "before the bot did it" in (build.GilWatch().complaint() or "")
    monkeypatch.setenv("PYTHON_GIL", "1")
    assert "PYTHON_GIL=1" in (build.GilWatch().complaint() or "")


def test_other_warnings_of_the_users_module_are_shown_as_usual(is_on: list[bool]) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with build.GilWatch().watching():
            warnings.warn("mine", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in shown] == ["mine"]
