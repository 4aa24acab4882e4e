"""What importing the product does to a process: nothing."""

import subprocess
import sys

import pytest

LOADED = """
import sys
before = set(sys.modules)
import {module}
print(" ".join(name for name in sys.modules if name not in before and name.split(".")[0] in sys.stdlib_module_names))
"""

WATCHED = """
import importlib, os, sys, threading
for name in {standard!r}.split():
    importlib.import_module(name)
seen = []
FORBIDDEN = ("_thread.start", "socket.", "subprocess.", "sqlite3.", "os.fork", "os.mkdir", "os.putenv", "signal.")
def watch(event, arguments):
    if event == "open":
        path = str(arguments[0])
        if not path.endswith((".py", ".pyc", ".so", ".pth")) and not os.path.isdir(path):
            seen.append((event, path))
    elif event.startswith(FORBIDDEN):
        seen.append((event, str(arguments)))
class Environment(dict):
    def __getitem__(self, name):
        seen.append(("environment", name))
        return super().__getitem__(name)
    def get(self, name, default=None):
        seen.append(("environment", name))
        return super().get(name, default)
    def __contains__(self, name):
        seen.append(("environment", name))
        return super().__contains__(name)
start = threading.Thread.start
def start_watched(thread):
    # Python 3.11 has no audit event for this.
    seen.append(("thread", thread.name))
    start(thread)
threading.Thread.start = start_watched
os.environ = Environment(os.environ)
os.getenv = os.environ.get
sys.addaudithook(watch)
import {module}
sys.stdout.write(repr(seen) + " " + str(threading.active_count()))
"""

GIL = """
import sys, sysconfig
import runner_c, runner_c.command.cli, pyruntime, pyruntime.testing, requests, ujson, concurrent_log_handler
print(hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled(), bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
"""


def answer(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_engine_starts_no_thread_opens_no_file_and_reads_no_environment() -> None:
    standard = answer(LOADED.format(module="runner_c"))
    assert answer(WATCHED.format(module="runner_c", standard=standard)) == "[] 1"


def test_the_watch_sees_what_it_forbids() -> None:
    program = WATCHED.format(module="threading", standard="threading")
    program = program.replace(
        "sys.stdout.write",
        "os.environ.get('A'); threading.Thread(target=int).start(); open('/dev/null')\nsys.stdout.write",
    )
    seen = answer(program)
    assert "environment" in seen
    assert "'thread'" in seen
    assert "/dev/null" in seen


@pytest.mark.parametrize("module", ["runner_c", "pyruntime"])
def test_importing_leaves_logging_and_signals_alone(module: str) -> None:
    program = (
        "import logging, signal\n"
        "before = [signal.getsignal(number) for number in range(1, 30)]\n"
        f"import {module}\n"
        "assert before == [signal.getsignal(number) for number in range(1, 30)]\n"
        "assert logging.getLogger().handlers == []\n"
        "print('ok')"
    )
    assert answer(program) == "ok"


def test_the_engine_does_not_import_the_bot_layer() -> None:
    assert answer("import sys, runner_c, runner_c.command.cli\nprint('pyruntime' in sys.modules)") == "False"


def test_importing_everything_leaves_the_gil_off_where_it_was_off() -> None:
    is_off, is_free_threaded = answer(GIL).split()
    assert is_off == is_free_threaded
