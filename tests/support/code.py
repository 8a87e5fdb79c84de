"""Code in files of a test: packages that nobody has imported, edited and read anew."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from assets import code_files
from assets import code_version as told
from pipelines import code_changes


def forget() -> None:
    """Have files read anew, as a new process reads them."""
    for read in (
        code_files.owner,
        code_files.path_of,
        code_files.source_module,
        told.reached,
        told._split,
        told._installed,
        code_changes._path_versions,
    ):
        read.cache_clear()


def write_package(folder: Path, name: str, modules: Mapping[str, str], patch: pytest.MonkeyPatch) -> Path:
    """A package of these modules that can be imported, and has not been."""
    package = folder / name
    package.mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (package / f"{module}.py").write_text(text, encoding="utf-8")
    patch.syspath_prepend(folder)
    for known in [n for n in sys.modules if n.split(".")[0] == name]:  # that of another test
        patch.delitem(sys.modules, known)
    forget()
    return package


def edit(file: Path, old: str, new: str) -> None:
    """Replace text in a file that has it, and have it read anew."""
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file.name} has no {old!r}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    forget()
