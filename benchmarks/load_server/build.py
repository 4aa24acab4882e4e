"""Build the load server and start it for a benchmark or a test.

with LoadServer(["--seconds", "5"], cpu=0) as server:
    start_a_bot(server.api_root)
    print(server.wait_for("report")["main"]["rate"])
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

FOLDER = Path(__file__).resolve().parent
BUILT = FOLDER.parent / ".build"
WITH_TLS = ["-DWITH_TLS", "-lssl", "-lcrypto"]


def _finds_openssl(compiler: str) -> bool:
    probe = subprocess.run(
        [compiler, "-E", "-"], input="#include <openssl/ssl.h>\n", text=True, capture_output=True, check=False
    )
    return probe.returncode == 0


def build(name: str = "load_server", *, flags: Sequence[str] = ("-O2",)) -> Path:
    """Compile `name`.c unless the binary is newer, and return the binary.

    It speaks TLS where OpenSSL's headers are found. Raises: RuntimeError if there is no compiler, or it fails.
    """
    source = FOLDER / f"{name}.c"
    others = [re.sub(r"\W+", "-", flag) for flag in flags if flag != "-O2"]
    binary = BUILT / "".join([name, *others])
    if binary.exists() and binary.stat().st_mtime_ns > source.stat().st_mtime_ns:
        return binary
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        raise RuntimeError("the load server needs a C compiler (cc)")
    BUILT.mkdir(exist_ok=True)
    # Compiled under a name of its own and moved: two builds at once cannot spoil each other's binary.
    with tempfile.NamedTemporaryFile(dir=BUILT, prefix=name, delete=False) as unfinished:
        pass
    tls = WITH_TLS if name == "load_server" and _finds_openssl(compiler) else []
    command = [compiler, "-std=c11", "-Wall", "-Wextra", *flags, str(source), "-o", unfinished.name, *tls, "-lm"]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode:
        os.unlink(unfinished.name)
        raise RuntimeError(f"{' '.join(command)}\n{compiled.stderr}")
    os.replace(unfinished.name, binary)
    return binary


def speaks_tls(binary: Path) -> bool:
    """Tell whether the binary was built with OpenSSL."""
    refused = subprocess.run([binary, "--tls", "", "", "--help"], capture_output=True, text=True, check=False)
    return b"SSL_CTX_new" in binary.read_bytes() and refused.returncode == 0


class LoadServer:
    """Run a load server for the length of a `with` block.

    Args:
        options: its command line, see `load_server --help`.
        cpu: the core to which it is pinned; None leaves it free.
        binary: what to run, the result of `build()` by default.

    Thread-safety: any thread may read; start and stop belong to the thread of the `with` block.
    """

    def __init__(self, options: Sequence[str] = (), *, cpu: int | None = None, binary: Path | None = None) -> None:
        """Remember the command; nothing runs yet."""
        self._command = [str(binary or build()), *options]
        self._is_tls = "--tls" in options
        self._cpu = cpu
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        # Guards `_events` and `_is_over`; told of each new event and of the end of the output.
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []
        self._is_over = False

    def __enter__(self) -> "LoadServer":
        """Start the server and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._cpu is not None:
            os.sched_setaffinity(self._process.pid, {self._cpu})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("listening", timeout_s=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def pid(self) -> int:
        """Return the process id of the server."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def port(self) -> int:
        """Return the port on 127.0.0.1."""
        return int(self.wait_for("listening")["port"])

    @property
    def api_root(self) -> str:
        """Return what bots take for https://api.telegram.org."""
        if self._is_tls:
            return f"https://localhost:{self.port}"
        return f"http://127.0.0.1:{self.port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the events so far."""
        with self._changed:
            return list(self._events)

    def wait_for(self, name: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for the event `name` and return it.

        Raises: TimeoutError if it does not come in time, RuntimeError if the server ends before. Blocks until then.
        """
        latest = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for event in self._events:
                    if event["event"] == name:
                        return event
                if self._is_over:
                    raise RuntimeError(f"the load server has ended without {name!r}")
                if not self._changed.wait(latest - time.monotonic()) and time.monotonic() >= latest:
                    raise TimeoutError(f"no {name!r} from the load server within {timeout_s} s")

    def stop(self) -> dict[str, Any]:
        """End the server and return its report, which is marked incomplete if the measurement had not ended.

        Raises: RuntimeError if the server has crashed.
        """
        assert self._process is not None, "not started"
        assert self._reader is not None
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._process.returncode:
            raise RuntimeError(f"the load server has ended with {self._process.returncode}")
        return next((event for event in self.events if event["event"] == "report"), {})

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


if __name__ == "__main__":
    print(build())
