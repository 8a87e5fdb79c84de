"""Dagster code locations of use cases without a `definitions.py`; `attribute` in `workspace.yaml` names the use case.

Belongs here: nothing but that. A location loads the one use case it names, and no other.
"""

from functools import cache
from typing import TYPE_CHECKING

from pipelines import catalogue

if TYPE_CHECKING:
    import dagster as dg


def __getattr__(name: str) -> "dg.Definitions":
    """The definitions of the use case of that name, made once.

    Raises:
        CatalogueError: If there is no such use case, or it cannot work. Not an AttributeError: Dagster would only say
            that there is no such attribute.
    """
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _definitions(name)


@cache
def _definitions(name: str) -> "dg.Definitions":
    try:
        return catalogue.definitions(name)
    except AttributeError as error:
        raise catalogue.CatalogueError(f"the code of use case {name!r} does not load: {error}") from error
