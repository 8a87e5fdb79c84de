"""Data files that an installed distribution carries; they are read, and the distribution is never imported.

Belongs here: finding such a file. Does not belong here: reading it (`formats.py`).
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from resources.errors import SourceError

SCHEME: Final = "package://"


def located(uri: str) -> str:
    """The local path of `package://<distribution>/<path within it>`; anything else as it is.

    Raises:
        SourceError: If the distribution is not installed, or carries no such file.
    """
    if not uri.startswith(SCHEME):
        return uri
    name, _, path = uri.removeprefix(SCHEME).partition("/")
    try:
        found = Path(str(distribution(name).locate_file(path)))
    except PackageNotFoundError as error:
        raise SourceError(f"{uri}: the distribution {name!r} is not installed; install it with pip") from error
    if not path or not found.is_file():
        raise SourceError(f"{uri}: {name} carries no file {path!r}; look into {found.parent}")
    return str(found)
