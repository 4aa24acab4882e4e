"""A server and a copy of the examples, in a folder where the checkout cannot hide the installed package."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyruntime.testing import FakeBotApi

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def api() -> Iterator[FakeBotApi]:
    """Serve the Bot API on a free port."""
    with FakeBotApi() as server:
        yield server


@pytest.fixture(autouse=True)
def examples(tmp_path: Path) -> None:
    """Copy the examples into the folder in which programs are launched."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
