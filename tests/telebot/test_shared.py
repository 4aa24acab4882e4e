"""What handlers of a telebot bot share, under many threads: nothing is lost, nothing is broken."""

import pickle
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import telebot
from telebot.handler_backends import FileHandlerBackend, HandlerBackend, MemoryHandlerBackend

from pyruntime.adapters.telebot.shared import save_now, serialise

THREADS = 8
ROUNDS = 1500


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Let threads take turns as often as they can, where they have to take turns."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[int], None]) -> None:
    """Run `work` in many threads that begin at once; raise what one of them raises."""
    gate = threading.Barrier(THREADS)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        gate.wait(20)
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_no_handler_is_lost_when_chats_share_a_message_id() -> None:
    backend = MemoryHandlerBackend()
    serialise(backend)
    taken: list[list[Any]] = [[] for _ in range(THREADS)]

    def work(number: int) -> None:
        for turn in range(ROUNDS):
            backend.register_handler(1, (number, turn))
            taken[number] += backend.get_handlers(1) or []

    together(work)
    rest = backend.get_handlers(1) or []
    assert sum(map(len, taken)) + len(rest) == THREADS * ROUNDS


def test_a_save_while_others_register_writes_a_whole_file(tmp_path: Path) -> None:
    path = str(tmp_path / "saves" / "steps.save")
    backend = FileHandlerBackend(filename=path, delay=0)
    serialise(backend)

    def work(number: int) -> None:
        for turn in range(40):
            backend.register_handler(number * 1000 + turn, "step")

    together(work)
    assert len(pickle.loads(Path(path).read_bytes())) == THREADS * 40


def test_what_waits_for_the_timer_of_a_file_backend_is_written_at_once(tmp_path: Path) -> None:
    path = tmp_path / "saves" / "steps.save"
    backend = FileHandlerBackend(filename=str(path), delay=600)
    serialise(backend)
    backend.register_handler(1, "step")
    save_now(backend)
    assert pickle.loads(path.read_bytes()) == {1: ["step"]}
    backend.timer.join(10)
    assert not backend.timer.is_alive()


@pytest.mark.parametrize("kind", ["memory", "pickle"])
def test_states_of_many_chats_are_kept_when_all_write_at_once(tmp_path: Path, kind: str) -> None:
    storage: Any
    if kind == "memory":
        storage = telebot.StateMemoryStorage()
    else:
        storage = telebot.StatePickleStorage(file_path=str(tmp_path / "states" / "states.pkl"))
    serialise(storage)
    rounds = 300 if kind == "memory" else 15

    def work(number: int) -> None:
        for turn in range(rounds):
            storage.set_state(number, number, "on")
            storage.set_data(number, number, f"key {turn}", turn)
            with storage.get_interactive_data(number, number) as data:
                data["count"] = data.get("count", 0) + 1

    together(work)
    for number in range(THREADS):
        assert storage.get_state(number, number) == "on"
        data = storage.get_data(number, number)
        assert data["count"] == rounds
        assert len(data) == rounds + 1


def test_a_storage_that_two_bots_share_gets_one_lock_and_others_get_none() -> None:
    storage = telebot.StateMemoryStorage()
    serialise(storage)
    method = storage.set_state
    serialise(storage)
    assert storage.set_state is method

    class Own(HandlerBackend):
        pass

    own = Own()
    serialise(own)
    assert not hasattr(own, "_runner_c_lock")


def test_the_gil_stayed_off_where_it_was_off() -> None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled()  # type: ignore[attr-defined]
