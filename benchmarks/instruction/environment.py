"""Say with what instructions are counted: everything outside of this repository that changes how many there are."""

import importlib.metadata
import platform
import re
import sys
import sysconfig
from pathlib import Path

import ujson
from instruction.callgrind import find_valgrind
from instruction.comparison import platform_name

import runner_c
from runner_c import _sink

__all__ = ["counted_package", "describe"]

_GCC = re.compile(rb"GCC: \([^)]*\) ([\d.]+)")
_CLANG = re.compile(rb"(clang version [\d.]+)")
_CYTHON = re.compile(rb"_cython_(\d+(?:_\d+)+\w*)")


def counted_package() -> Path:
    """Return the folder of the `runner_c` that is counted."""
    return Path(next(iter(runner_c.__path__)))


def describe() -> dict[str, str]:
    """Return what the counts depend on, by name."""
    engine = Path(_sink.__file__).read_bytes()
    return {
        "python": platform.python_version(),
        "python_built_by": platform.python_compiler(),
        "python_built_with": _python_options(),
        "engine_built_by": _compiler(engine),
        "engine_built_as": _switches(),
        "cython": _first(_CYTHON, engine).replace("_", "."),
        "ujson": importlib.metadata.version("ujson"),
        "ujson_built_by": _compiler(Path(ujson.__file__).read_bytes()),
        "c_library": " ".join(platform.libc_ver()),
        "valgrind": find_valgrind() or "none",
        # Of what the processor has, callgrind shows one of a few sets to the program, whose C library chooses by it.
        "vector_instructions": _vector_instructions(),
    }


def _python_options() -> str:
    """Return the options of configure that change the code, and the compiler's."""
    told = re.findall(r"'(--(?:en|dis)able-[\w-]+|--with(?:out)?-[\w-]+)[='][^/]*?", _config("CONFIG_ARGS"))
    return " ".join([*sorted(told), _config("PY_CFLAGS")])


def _switches() -> str:
    """Return with which switches of setup.py the checkout was built; a package that was installed has none."""
    path = counted_package().parent / "build" / f"switches-{platform_name()}"
    return path.read_text() if path.exists() else "release"


def _vector_instructions() -> str:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return "as usual"
    flags = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0]))
    return next((name for name in ("avx2", "avx", "sse4_2") if name in flags), "sse2")


def _compiler(module: bytes) -> str:
    gcc = _first(_GCC, module)
    return f"gcc {gcc}" if gcc else _first(_CLANG, module) or "unknown"


def _config(name: str) -> str:
    return str(sysconfig.get_config_var(name) or "")


def _first(pattern: re.Pattern[bytes], data: bytes) -> str:
    match = pattern.search(data)
    return match[1].decode() if match else ""
