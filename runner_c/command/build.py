"""Tell which Python runs, and whether something switched the GIL back on.

A free-threaded build switches the GIL on again for the whole process when a module is imported that does not
declare that it can do without. Python says so in a warning that is easily lost; the command line says it at start.
"""

import os
import platform
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["GilWatch", "describe_python", "is_free_threaded", "is_gil_enabled"]

GIL_WARNING = "The global interpreter lock (GIL) has been enabled to load module '"


def is_free_threaded() -> bool:
    """Tell whether this Python was built to run without the GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def is_gil_enabled() -> bool:
    """Tell whether the GIL is on now."""
    return not hasattr(sys, "_is_gil_enabled") or bool(sys._is_gil_enabled())


def describe_python() -> str:
    """Return a text such as `Python 3.13.5, free-threaded` for the banner."""
    version = platform.python_version()
    if not is_free_threaded():
        return f"Python {version}, with the GIL"
    return f"Python {version}, free-threaded" + (" but the GIL is on" if is_gil_enabled() else "")


class GilWatch:
    """Find out which import switches the GIL on.

    Use it around the import of the user's module: `with watch.watching(): ...`, then ask `complaint()`.

    Thread-safety: the main thread only; it replaces `warnings.showwarning` meanwhile.
    """

    def __init__(self) -> None:
        self._was_on = is_gil_enabled()
        self._culprit: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the warning that Python gives when it switches the GIL on; other warnings pass as usual."""
        show = warnings.showwarning

        def listen(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            text = str(message)
            if text.startswith(GIL_WARNING):
                self._culprit = self._culprit or text.removeprefix(GIL_WARNING).split("'")[0]
            else:
                show(message, category, filename, lineno, file, line)

        with warnings.catch_warnings():
            if not self._was_on:
                warnings.filterwarnings("always", message="The global interpreter lock", category=RuntimeWarning)
            warnings.showwarning = listen
            yield

    def complaint(self) -> str | None:
        """Return one line on why a free-threaded Python runs with the GIL on, or None if all is well."""
        if not is_free_threaded() or not is_gil_enabled():
            return None
        if self._was_on:
            forced = os.environ.get("PYTHON_GIL") == "1" or sys._xoptions.get("gil") == "1"
            cause = "PYTHON_GIL=1 or -X gil=1 asks for it" if forced else "a module imported before the bot did it"
        elif self._culprit:
            cause = f"module {self._culprit} does not declare that it works without"
        else:
            cause = "an imported module does not declare that it works without"
        return f"the GIL was switched on: {cause}; handlers share one core"
