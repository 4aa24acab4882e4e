"""What tests of the whole program share: starting it as a process, as its users do."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import runner_c

INSTALLED_IN = str(Path(next(iter(runner_c.__path__))).parent)


class Program:
    """A running program whose lines on stderr and stdout can be waited for.

    Thread-safety: the test's thread only.
    """

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        # Guards the lists of lines; told of each new line and of the end of a stream.
        self._changed = threading.Condition()
        self._out: list[str] = []
        self._err: list[str] = []
        self._ended = 0
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def out(self) -> str:
        """Return what the program wrote to stdout so far."""
        with self._changed:
            return "".join(self._out)

    @property
    def err(self) -> str:
        """Return what the program wrote to stderr so far."""
        with self._changed:
            return "".join(self._err)

    def wait_for(self, text: str, times: int = 1, timeout_s: float = 30.0) -> str:
        """Wait until a line on stderr holds `text` (`times` of them), and return the last such line."""
        latest = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = [line for line in self._err if text in line]
                if len(found) >= times:
                    return found[times - 1]
                is_over = self._ended == len(self._readers)
                if is_over or not self._changed.wait(latest - time.monotonic()):
                    if not is_over and time.monotonic() < latest:
                        continue
                    raise AssertionError(f"{text!r} was not written; stderr is:\n{''.join(self._err)}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Wait for the end of the program and return its exit code."""
        code = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.send(number)
        return self.wait()

    def close(self) -> None:
        """End the program whatever it does, and close its streams."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended += 1
            self._changed.notify_all()


Launch = Callable[..., Program]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Return a function that starts `python -P ARGUMENTS` in an empty folder, without settings of this machine.

    Keyword arguments are environment variables; BOT_TOKEN and the like are not inherited.
    """
    programs: list[Program] = []

    def start(*arguments: str, **variables: Any) -> Program:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "RUNNER_"))}
        environment = {**kept, "PYTHONPATH": INSTALLED_IN, "PYTHONUNBUFFERED": "1", **variables}
        program = Program([sys.executable, "-P", *arguments], tmp_path, environment)
        programs.append(program)
        return program

    yield start
    for program in programs:
        program.close()


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """Make self-signed certificates: paths of certificate and key for the given names."""

    def make(names: str) -> tuple[str, str]:
        folder: Path = tmp_path_factory.mktemp("certificate")
        certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=test",
             "-addext", f"subjectAltName={names}"],
            check=True,
            capture_output=True,
        )  # fmt: skip
        return certificate, key

    return make
