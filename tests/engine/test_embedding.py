"""The engine inside of other programs: many runners, other threads, forks, and an interpreter that exits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import runner_c
from runner_c import RunnerError, run

ROOT = str(Path(next(iter(runner_c.__path__))).parent)
BOT = """
    import os, sys, threading, time
    from runner_c import run, ForkedProcess

    class Bot:
        def __init__(self, work=lambda update: None, count=50):
            self.queue = [{"update_id": n, "message": {"chat": {"id": n % 5}}} for n in range(count)]
            self.cut, self.work, self.handled = threading.Event(), work, []
        def get_updates(self, *, offset, limit, timeout, allowed_updates):
            self.queue = [update for update in self.queue if update["update_id"] >= (offset or 0)]
            if not self.queue:
                self.cut.wait(timeout)
            return self.queue[:limit]
        def interrupt(self):
            self.cut.set()
        def handle_update(self, update):
            self.work(update)
            self.handled.append(update["update_id"])
"""


def run_script(script: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a program of its own; one that hangs is made to print its stacks and killed with its children."""
    environment = dict(os.environ, PYTHONPATH=ROOT, PYTHONFAULTHANDLER="1")
    command = [sys.executable, "-c", textwrap.dedent(BOT) + textwrap.dedent(script)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"the program hangs\n{out}\n{err}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def test_several_runners_in_one_process_do_not_meet(queue_bot: Any, start: Any) -> None:
    bots = [queue_bot(work=lambda update: time.sleep(0.001)) for _ in range(5)]
    for bot in bots:
        bot.push(100, chat=lambda index: index % 3)
    handles = [start(bot, name=f"bot{number}") for number, bot in enumerate(bots)]
    for bot in bots:
        bot.record.wait_for_ended(100)
        assert bot.record.breaches == []
    names = {thread.name for thread in threading.enumerate()}
    assert {f"bot{number}-{part}" for number in range(5) for part in ("poller", "runner")} <= names
    assert [handle.stop().handled for handle in handles] == [100] * 5


def test_a_runner_starts_and_stops_again_and_again_and_leaves_nothing_behind(queue_bot: Any) -> None:
    bot = queue_bot()
    before = set(threading.enumerate())
    descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    handle = run(bot, concurrency=4)
    for _ in range(60):
        ids = bot.push(3)
        bot.record.wait_until(lambda ids=ids: set(ids) <= set(bot.record.ended))
        assert handle.stop().drained
        handle.start()
    handle.stop()
    assert set(threading.enumerate()) - before == set()
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == descriptors
    assert bot.record.breaches == []


def test_a_runner_can_be_used_from_a_thread_that_is_not_the_main_one(queue_bot: Any) -> None:
    bot = queue_bot()
    bot.push(20)
    reports: list[Any] = []

    def use() -> None:
        handle = run(bot)
        bot.record.wait_for_ended(20)
        reports.append(handle.stop())

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(20)
    assert reports[0].handled == 20


@pytest.mark.parametrize("repetition", range(3))
def test_the_interpreter_exits_while_it_runs_and_every_update_is_handled(repetition: int) -> None:
    done = run_script(
        """
        import atexit
        bot = Bot(lambda update: time.sleep(0.01))
        atexit.register(lambda: print(len(bot.handled), "handled"))
        run(bot, concurrency=8)
        while len(bot.handled) < 5:
            time.sleep(0.001)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "50 handled\n", "")


def test_the_interpreter_exits_in_a_long_poll_at_once() -> None:
    begun = time.monotonic()
    done = run_script("run(Bot(count=0)); time.sleep(0.2)")
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun < 5


def test_a_handler_that_hangs_does_not_keep_the_interpreter_from_exiting() -> None:
    done = run_script(
        """
        from runner_c import exit_hook
        exit_hook.GRACE_S = 0.3
        lock = threading.Lock()
        lock.acquire()
        begun = threading.Event()
        run(Bot(lambda update: (begun.set(), lock.acquire()), count=1))
        begun.wait(20)
        """
    )
    assert done.returncode == 0
    assert "update 0 still runs" in done.stderr


def test_a_keyboard_interrupt_ends_wait_and_the_runner_drains() -> None:
    done = run_script(
        """
        import signal
        bot = Bot(lambda update: time.sleep(0.01))
        handle = run(bot, concurrency=4)
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            handle.wait()
        except KeyboardInterrupt:
            begun = time.monotonic()
            report = handle.stop()
            print(report.handled, report.drained, time.monotonic() - begun < 5)
        """
    )
    assert done.stdout == "50 True True\n", done.stderr


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_runner_in_a_forked_child_is_a_clear_error_and_a_new_one_works() -> None:
    done = run_script(
        """
        import warnings
        warnings.simplefilter("ignore")
        bot = Bot()
        handle = run(bot)
        while len(bot.handled) < 50:
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            for use in (handle.stop, handle.wait, handle.size, handle.snapshot, handle.stats, handle.task,
                        lambda: handle.offer({"update_id": 1})):
                try:
                    use()
                    print("no error", use)
                except ForkedProcess as error:
                    message = str(error)
            print(message, handle.is_running())
            again = Bot(count=20)
            fresh = run(again)
            while len(again.handled) < 20:
                time.sleep(0.001)
            print(fresh.stop().handled, flush=True)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), handle.stop().handled)
        """
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "a fork does not carry them over" in lines[0]
    assert lines[0].endswith("False")
    assert lines[1:] == ["20", "0 50"]


def test_a_forked_child_that_exits_normally_does_not_hang() -> None:
    done = run_script(
        """
        import warnings
        warnings.simplefilter("ignore")
        bot = Bot(lambda update: time.sleep(0.001), count=2000)
        handle = run(bot, concurrency=8)
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                sys.exit(7)
            children.append(child)
        print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
        print(handle.stop().handled)
        """
    )
    assert done.stdout == "[7, 7, 7, 7, 7]\n2000\n", done.stderr


def test_a_child_that_a_handler_forks_ends_where_the_handler_ends() -> None:
    done = run_script(
        """
        import warnings
        warnings.simplefilter("ignore")
        codes = []
        def work(update):
            number = update["update_id"]
            child = os.fork()
            if child == 0:
                if number == 1:
                    sys.exit(7)
                if number == 2:
                    raise ValueError("in the child")
                return
            codes.append((number, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        bot = Bot(work, count=3)
        handle = run(bot, concurrency=1)
        while handle.stats().handled < 3:
            time.sleep(0.001)
        print(sorted(codes), handle.stop().handled)
        """
    )
    assert done.stdout == "[(0, 0), (1, 7), (2, 1)] 3\n", done.stderr
    assert "in the child" in done.stderr


def test_a_bot_that_is_being_run_is_not_run_twice(queue_bot: Any, start: Any) -> None:
    bot = queue_bot()
    handle = start(bot)
    with pytest.raises(RunnerError, match="being run already"):
        run(bot)
    handle.stop()
    assert start(bot).is_running()


def test_a_token_in_the_error_of_a_handler_does_not_reach_the_log(queue_bot: Any, start: Any, caplog: Any) -> None:
    token = "123456789:" + "B" * 35

    class Failing(queue_bot):  # type: ignore[misc]
        def handle_error(self, error: BaseException, update: Any) -> None:
            raise RuntimeError("the error handler fails") from error

    class Plain(queue_bot):  # type: ignore[misc]
        handle_error = None

    for kind in (Failing, Plain):
        bot = kind(lambda update: (_ for _ in ()).throw(OSError(f"https://localhost/bot{token}/x")))
        bot.push(1)
        handle = start(bot)
        while handle.stats().failed < 1:
            pass
        handle.stop()
    assert caplog.text.count("https://localhost/bot<token>/x") >= 2
    assert token not in caplog.text


def test_threads_of_the_operating_system_carry_names() -> None:
    if sys.platform != "linux":
        pytest.skip("thread names are read from /proc")
    done = run_script(
        """
        handle = run(Bot())
        time.sleep(0.1)
        print(sorted(open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")))
        handle.stop()
        """
    )
    assert "'worker-1'" in done.stdout
