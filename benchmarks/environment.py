"""Make what the runs need, under ``benchmarks/.build/``; what is there already is kept."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

from load_server.build import build
from roster import Runtimes

__all__ = ["BUILD", "certificate", "loops", "runtimes", "versions"]

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BUILD = HERE / ".build"
_CALIBRATION_US = 2000


def runtimes(ours: Path | None, ours_free_threaded: Path | None, wanted: Container[str]) -> Runtimes:
    """Return the programs that run the contestants, and install what they need.

    Args:
        ours: a Python with the GIL in which the packages of this project are installed, or in which the checkout has
            been built in place; None: make an environment and install the checkout there.
        ours_free_threaded: the same for a free-threaded Python; None: make one if there is a ``python3.13t``.
        wanted: the fields of `Runtimes` that contestants of this run need; the others are left out.
    """
    BUILD.mkdir(exist_ok=True)
    if ours is None and "ours" in wanted:
        ours = _with_checkout(Path(sys.executable), BUILD / "ours")
    free_threaded = shutil.which("python3.13t")
    if ours_free_threaded is None and free_threaded and "ours_free_threaded" in wanted:
        ours_free_threaded = _with_checkout(Path(free_threaded), BUILD / "ours-free-threaded")
    node = shutil.which("node") if "node" in wanted else None
    return Runtimes(
        ours=ours,
        ours_free_threaded=ours_free_threaded,
        peers=_peers() if "peers" in wanted else None,
        node=Path(node) if node else None,
        grammy=_grammy() if node and shutil.which("npm") else None,
        capacity=build("capacity") if "capacity" in wanted else None,
    )


def certificate() -> tuple[Path, Path, Path] | None:
    """Return certificate and key for 127.0.0.1, and the authority that signed it; None without ``openssl``."""
    folder = BUILD / "tls"
    found = folder / "server.pem", folder / "server.key", folder / "authority.pem"
    if all(path.exists() for path in found):
        return found
    if shutil.which("openssl") is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.ext").write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n"
        "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    for line in (
        f"req -x509 {key} -keyout authority.key -out authority.pem -days 365 -subj /CN=benchmark-authority "
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        f"req {key} -keyout server.key -out server.csr -subj /CN=127.0.0.1",
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -out server.pem -days 365 "
        "-extfile server.ext",
    ):
        _run(["openssl", *line.split()], BUILD / "tls.log", folder)
    return found


def loops(found: Runtimes) -> dict[str, float]:
    """Return for each runtime how many rounds of the handlers' work take a microsecond there."""
    folder = HERE / "contestant"
    commands = {
        "ours": [found.ours, folder / "calibrate.py"],
        "ours_free_threaded": [found.ours_free_threaded, folder / "calibrate.py"],
        "peers": [found.peers, folder / "calibrate.py"],
        "node": [found.node, folder / "grammy" / "calibrate.mjs"],
    }
    result = {}
    for name, command in commands.items():
        if None not in command:
            line = [*map(str, command), str(_CALIBRATION_US)]
            result[name] = int(subprocess.run(line, capture_output=True, check=True).stdout) / _CALIBRATION_US
    return result


def versions(found: Runtimes) -> dict[str, str]:
    """Return the versions of all that takes part."""
    result = {}
    for name in ("ours", "ours_free_threaded", "peers"):
        if python := getattr(found, name):
            result[name] = _said([str(python), "-VV"])
    if found.peers:
        line = [str(found.peers), "-m", "pip", "freeze", "--disable-pip-version-check"]
        result["peers_packages"] = " ".join(_said(line).split())
    if found.node:
        result["node"] = _said([str(found.node), "--version"])
        packages = json.loads((HERE / "contestant" / "grammy" / "package.json").read_text())["dependencies"]
        result["node_packages"] = " ".join(f"{name}@{version}" for name, version in packages.items())
    if shutil.which("git"):
        result["checkout"] = _said(["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"])
    return result


def _with_checkout(base: Path, folder: Path) -> Path:
    """Return the Python of an environment into which the checkout is installed, anew each time."""
    python = _environment(base, folder)
    _run(
        [str(python), "-m", "pip", "install", "-q", "--force-reinstall", "--no-deps", str(CHECKOUT)], BUILD / "ours.log"
    )
    _run([str(python), "-m", "pip", "install", "-q", str(CHECKOUT)], BUILD / "ours.log")
    return python


def _peers() -> Path:
    required = HERE / "contestant" / "requirements.txt"
    python = _environment(Path(sys.executable), BUILD / "peers")
    if not _is_made(BUILD / "peers", required):
        _run([str(python), "-m", "pip", "install", "-q", "-r", str(required)], BUILD / "peers.log")
        _mark(BUILD / "peers", required)
    return python


def _grammy() -> Path:
    source, folder = HERE / "contestant" / "grammy", BUILD / "grammy"
    # Copied, so that no node_modules appears among the sources.
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if not _is_made(folder, source / "package-lock.json"):
        _run(["npm", "ci", "--no-audit", "--no-fund"], BUILD / "grammy.log", folder)
        _mark(folder, source / "package-lock.json")
    return folder


def _environment(base: Path, folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        _run([str(base), "-m", "venv", str(folder)], BUILD / "venv.log")
    return python


def _is_made(folder: Path, required: Path) -> bool:
    mark = folder / "made-from"
    return mark.exists() and mark.read_text() == hashlib.sha256(required.read_bytes()).hexdigest()


def _mark(folder: Path, required: Path) -> None:
    (folder / "made-from").write_text(hashlib.sha256(required.read_bytes()).hexdigest())


def _run(command: list[str], log: Path, folder: Path | None = None) -> None:
    with open(log, "ab") as output:
        if subprocess.run(command, cwd=folder, stdout=output, stderr=output, env={**os.environ}).returncode:
            raise SystemExit(f"{' '.join(command)}\nfailed; see {log}")


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
