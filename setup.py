"""Build the compiled modules of the engine: every `runner_c/*.pyx` is one extension.

All other settings of the package stand in pyproject.toml. Switches, read from the environment:

    RUNNER_C_ANNOTATE=1        write Cython's annotated HTML to build/cython/
    RUNNER_C_DEBUG=1           keep the asserts, compile with -O0 -g
    RUNNER_C_SANITIZE=NAME     compile with -fsanitize=NAME: thread, address or undefined
    RUNNER_C_FAULT_POINTS=1    define RUNNER_C_FAULT_POINTS for the C compiler
    RUNNER_C_TRACE=1           line tracing in the .pyx files, for coverage

A change of switches rebuilds everything: the switches of the last build are kept in a file on which each
extension depends, and each set of switches has its own folder of generated C.
"""

import os
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HERE = Path(__file__).resolve().parent
SANITIZERS = ("thread", "address", "undefined")


def is_on(name: str) -> bool:
    """Tell whether the switch `name` is set to anything but nothing and 0."""
    return os.environ.get(name, "0") not in ("", "0")


annotate = is_on("RUNNER_C_ANNOTATE")
debug = is_on("RUNNER_C_DEBUG")
trace = is_on("RUNNER_C_TRACE")
fault_points = is_on("RUNNER_C_FAULT_POINTS")
sanitize = os.environ.get("RUNNER_C_SANITIZE", "")
if sanitize and sanitize not in SANITIZERS:
    sys.exit(f"setup.py: RUNNER_C_SANITIZE is {sanitize!r}; it can be {', '.join(SANITIZERS)}")

compile_args = ["-pthread", "-std=gnu11"]
link_args = ["-pthread"]
macros: list[tuple[str, str | None]] = []
names = []

if debug:
    compile_args += ["-O0", "-g", "-UNDEBUG"]
    names.append("debug")
elif sanitize:
    compile_args += ["-O1", "-g"]
else:
    compile_args += ["-O3"]
if not debug:
    macros.append(("CYTHON_WITHOUT_ASSERTIONS", "1"))
if sanitize:
    compile_args += [f"-fsanitize={sanitize}", "-fno-omit-frame-pointer"]
    link_args += [f"-fsanitize={sanitize}"]
    names.append(sanitize)
if fault_points:
    macros.append(("RUNNER_C_FAULT_POINTS", "1"))
    names.append("fault-points")
if trace:
    # sys.monitoring reports no lines of compiled modules to coverage.py: fall back to the older tracing.
    macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
    names.append("trace")
if annotate:
    names.append("annotate")

directives = {
    "language_level": 3,
    "freethreading_compatible": True,
    "linetrace": trace,
}


def switches_file(setting: str) -> str:
    """Write the switches beside the build if they changed, and return the file's path relative to setup.py."""
    tag = str(sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag)
    path = HERE / "build" / f"switches-{tag}"
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != setting:
        path.write_text(setting)
    return str(path.relative_to(HERE))


sources = sorted(path.relative_to(HERE).as_posix() for path in HERE.glob("runner_c/*.pyx"))
depends = sorted(
    path.relative_to(HERE).as_posix() for path in HERE.glob("runner_c/*.[hp]*") if path.suffix in (".h", ".pxd")
)
if sources:
    depends.append(switches_file("-".join(names) or "release"))

extensions = [
    Extension(
        source.removesuffix(".pyx").replace("/", "."),
        [source],
        depends=depends,
        include_dirs=["runner_c"],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    for source in sources
]

setup(
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython/" + ("-".join(names) or "release"),
        annotate=annotate,
        emit_linenums=True,
        compiler_directives=directives,
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
