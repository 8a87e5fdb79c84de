"""Folders that are named after their content, so that a name never means two of them.

Belongs here: what a folder's name is. Does not belong here: which folders there are (`target.py`).
"""

import hashlib
import os
from pathlib import Path

from resources.errors import EndpointError
from resources.serving.states import DIGEST


def settled(folder: Path) -> str:
    """Bring a folder safely to disk and name its content.

    Raises:
        EndpointError: If it holds no file.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if not files:
        raise EndpointError("there is nothing to deploy: the folder of the model, or the set of tables, is empty")
    for path in (*files, folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return digest(folder)


def digest(folder: Path) -> str:
    """Names the content of a folder: the first `DIGEST` hex digits of the sha256 over its files and their paths."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:DIGEST]
