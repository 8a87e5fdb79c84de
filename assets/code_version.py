"""Which code made an asset, as a short text that changes when the code's meaning may have changed.

Belongs here: turning modules and values into a code version. Does not belong here: reacting to a changed one.
"""

import ast
import hashlib
import importlib.util
import subprocess
from pathlib import Path


def code_version(*modules: str, values: object = None) -> str:
    """First 12 hex digits of a sha256 over the syntax trees of `modules` and the text of `values`.

    Comments and formatting do not count, everything else does. The modules are read, not imported, so that a code
    location stays light.

    Args:
        modules: Names of importable modules, such as `assets.logic.point_in_time`.
        values: Declared settings that belong to the meaning; anything whose `repr` is stable between processes.

    Raises:
        ModuleNotFoundError: If a module does not exist.
    """
    digest = hashlib.sha256()
    for module in modules:
        digest.update(ast.dump(ast.parse(_source(module))).encode())
    digest.update(repr(values).encode())
    return digest.hexdigest()[:12]


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"module {module!r} was not found, so its code version cannot be told")
    return Path(spec.origin).read_text(encoding="utf-8")


def git_commit() -> str:
    """The commit that is checked out, with `-dirty` if tracked files differ from it; says so where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        return "git is not installed"
    return found.stdout.strip() or "not a git checkout"
