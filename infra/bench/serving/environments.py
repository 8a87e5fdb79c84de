"""A virtual environment for each peer, built once and kept: no peer's packages meet another's, or ours.

Belongs here: building them from the requirements beside the peers. Does not belong here: what runs in them.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.bench.children import BenchError

PEERS: Final = Path(__file__).parent / "peers"
READY: Final = ".ready"
"""Stands in a finished environment only, so that one whose building was cut short is built again."""
LAST_LINES: Final = 5
DIGITS: Final = 12


def environment(name: str, folder: Path, echo: Callable[[str], None]) -> Path:
    """The folder of programs (`bin`) of a peer's environment; built if there is none for today's requirements.

    Args:
        name: Of the peer; its requirements are `peers/<name>.txt`.
        folder: Where environments are kept; others of this peer are deleted from it when one is built.
        echo: Where progress is told.

    Raises:
        BenchError: If it cannot be built, with pip's last words.
    """
    home = place(name, folder)
    if not (home / READY).is_file():
        for old in folder.glob(f"{name}-*"):
            shutil.rmtree(old)
        echo(f"Building the environment of {name} (minutes, once)")
        _run([sys.executable, "-m", "venv", "--without-pip", str(home)], name)
        install = ["-m", "pip", "--python", str(home / "bin" / "python"), "install", "--disable-pip-version-check"]
        # What is imported is compiled at the first start, before anything is measured; most of it never is.
        quick = ["--no-input", "--no-compile", "--quiet"]
        _run([sys.executable, *install, *quick, "--requirement", str(_requirements(name))], name)
        (home / READY).touch()
    return home / "bin"


def place(name: str, folder: Path) -> Path:
    """Where the environment of a peer belongs: the name changes with its requirements and with our Python."""
    version = ".".join(map(str, sys.version_info[:2]))
    digest = hashlib.sha256(version.encode() + _requirements(name).read_bytes()).hexdigest()
    return folder / f"{name}-{digest[:DIGITS]}"


def pins(name: str) -> dict[str, str]:
    """Releases that a peer is pinned to, by package."""
    lines = _requirements(name).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if not line.startswith("#"))
    return {package: release for package, _, release in pairs}


def run_in(programs: Path, arguments: list[str], env: dict[str, str], what: str) -> None:
    """Run the Python of an environment to its end.

    Raises:
        BenchError: If it fails.
    """
    _run([str(programs / "python"), *arguments], what, env)


def _requirements(name: str) -> Path:
    return PEERS / f"{name}.txt"


def _run(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        done = subprocess.run(command, stdout=said, stderr=said, env=env, check=False)  # noqa: S603  # our own command
        said.seek(0)
        if done.returncode != 0:
            words = "\n".join(said.read().strip().splitlines()[-LAST_LINES:])
            raise BenchError(f"{what}: {' '.join(command[:4])} ... failed; it said: {words}")
