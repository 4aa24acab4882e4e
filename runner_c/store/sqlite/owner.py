"""The one runner of a store: its lock, and the marks of what its workers run.

One small file beside the store, ``PATH-runner``, is both. The lock is one that the system takes back when the process
dies, so that a dead runner is no obstacle; the marks are a memory map, which outlives the process.

**Guarantees**

- Two stores on one file are never open at the same time, in one process or in two.
- What was marked when a process died is there for the next one, unless the machine died as well.
"""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import threading

from runner_c.errors import StoreError, StoreInUse
from runner_c.store.base import RunningMarks

__all__ = ["Owner"]

SLOTS = 16_384
"""Workers beyond this number leave no marks."""

HEADER = 4
"""int64 before the slots: format, process, life, whether one update ran at a time."""

FORMAT = 1

# Guards _open; a leaf. A lock of the system does not keep two stores of one process apart.
_lock = threading.Lock()
_open: set[tuple[int, int]] = set()


class Owner(RunningMarks):
    """The hold on a store. Thread-safety: any thread may write its slot; the rest belongs to who opened it.

    Raises:
        StoreInUse: another one has it.
        StoreError: the file cannot be made or written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        name = path + "-runner"
        size = (HEADER + SLOTS) * 8
        try:
            self._descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the store {path} cannot be opened: {name}: {error.strerror}; its folder must be there and writable"
            ) from None
        self._identity = (0, 0)
        try:
            self._take(name)
            if os.fstat(self._descriptor).st_size < size:
                os.posix_fallocate(self._descriptor, 0, size)  # a full disk would kill the process at a later mark
            self._map = mmap.mmap(self._descriptor, size)
        except OSError as error:
            self._let_go()
            raise StoreError(f"the store {path} cannot be opened: {name}: {error.strerror}") from None
        except BaseException:
            self._let_go()
            raise
        self._words = memoryview(self._map).cast("q")
        self.slots = self._words[HEADER:]
        is_known = self._words[0] == FORMAT
        self.last_life = self._words[2] if is_known else -1
        self.was_alone = bool(self._words[3]) if is_known else False
        self.marked = sorted({seq for seq in self.slots if seq > 0}) if is_known else []

    def begin(self, life: int) -> None:
        """Forget the marks of the last life; from now on they are those of this one."""
        self._words[3] = 0
        self.clear()
        self._words[2] = life
        self._words[1] = os.getpid()
        self._words[0] = FORMAT

    def clear(self) -> None:
        """Forget the marks."""
        self.slots[:] = memoryview(array.array("q", bytes(8 * SLOTS)))

    def set_alone(self, is_alone: bool) -> None:
        """Note whether one update runs at a time."""
        self._words[3] = int(is_alone)

    def close(self) -> None:
        """Let go of the store. The marks stay mapped for as long as a worker has them."""
        self._words[1] = 0
        self._let_go()

    def _take(self, name: str) -> None:
        state = os.fstat(self._descriptor)
        identity = (state.st_dev, state.st_ino)
        with _lock:
            is_ours = identity in _open
            if not is_ours:
                try:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise StoreInUse(
                        f"the store {self._path} is in use by process {_process_in(self._descriptor)}; stop that "
                        "runner first, or name another file"
                    ) from None
                _open.add(identity)
                self._identity = identity
        if is_ours:
            raise StoreInUse(f"the store {self._path} is in use by this very process; one store has one runner")

    def _let_go(self) -> None:
        with _lock:
            if self._identity in _open:
                _open.discard(self._identity)
                os.close(self._descriptor)
            elif self._identity == (0, 0):
                # To close it would also drop the lock that another store of this process has on the same file.
                state = os.fstat(self._descriptor)
                if (state.st_dev, state.st_ino) not in _open:
                    os.close(self._descriptor)
            self._identity = (-1, -1)


def _process_in(descriptor: int) -> str:
    try:
        number = int.from_bytes(os.pread(descriptor, 8, 8), "little", signed=True)
    except OSError:
        number = 0
    return str(number) if number > 0 else "unknown"


def _forget_the_parent() -> None:
    """In a forked child: the stores are its parent's, the lock may be held by a thread that is not there."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


os.register_at_fork(after_in_child=_forget_the_parent)
