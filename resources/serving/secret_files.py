"""Random secrets in files that only their owner may read.

Belongs here: making and reading one. Does not belong here: what it is for (`privacy.py`, `keys.py`).
"""

import os
import secrets
from pathlib import Path
from typing import Final

from resources.errors import EndpointError
from resources.serving.segments import sync_folder

SECRET_BYTES: Final = 32


def secret(path: Path) -> bytes:
    """The secret in a file, made when first asked for; several processes get the same.

    Raises:
        EndpointError: If the file does not hold one, or others than its owner may read it.
    """
    if not path.is_file():
        _make(path)
    if path.stat().st_mode & 0o077:
        raise EndpointError(f"{path} can be read by others than its owner; run chmod 600 on it")
    content = path.read_bytes()
    if len(content) != SECRET_BYTES:
        raise EndpointError(
            f"{path} holds {len(content)} bytes and no key of {SECRET_BYTES}; bring it back from a backup, or delete "
            "it, and a new one is made"
        )
    return content


def _make(path: Path) -> None:
    """Whole or absent; if another process was first, its secret holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(mine, path)
        except FileExistsError:
            return
        sync_folder(path.parent)  # nothing may be made with a secret that a loss of power takes away
    finally:
        mine.unlink()
