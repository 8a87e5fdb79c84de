"""Every use case by its name: the folders beside this module that hold a `use_case.py` or a `use_case.yaml`.

Belongs here: finding declarations and what goes with them, in either form. Does not belong here: what a declaration
says. Dagster, and what reads YAML declarations, load only when they are needed: the serving process looks here as well.
"""

import difflib
import importlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import yaml

import pipelines
from assets.contracts import UseCase
from assets.policies import DeclarationError
from resources.errors import ThroughlineError
from resources.objects import ObjectStore

if TYPE_CHECKING:
    import dagster as dg

WORKSPACE: Final = Path(__file__).parents[1] / "workspace.yaml"
DECLARED: Final = "use_case.yaml"

Echo: TypeAlias = Callable[[str], None]
Deliver: TypeAlias = Callable[[ObjectStore, Echo], None]
"""Brings the landing zone up to date with where the data comes from; told of its progress."""
Publish: TypeAlias = Callable[[ObjectStore, Echo, date | None], None]
"""Puts the data that ships with a use case into the landing zone, up to a day (None: as much as it does by default)."""


class CatalogueError(ThroughlineError):
    """There is no such use case, or it cannot be read; the message names it and what to do."""


def names() -> list[str]:
    """Names of all use cases, in alphabetical order."""
    folders = [folder for root in pipelines.__path__ for folder in Path(root).iterdir()]
    return sorted(f.name for f in folders if any((f / form).is_file() for form in ("use_case.py", DECLARED)))


def in_workspace() -> list[str]:
    """Names of the use cases that `workspace.yaml` lists, in its order."""
    entries = yaml.safe_load(WORKSPACE.read_text(encoding="utf-8"))["load_from"]
    locations = [location for entry in entries for location in entry.values() if isinstance(location, dict)]
    known = names()
    return [location["location_name"] for location in locations if location.get("location_name") in known]


def folder(name: str) -> Path:
    """The folder of a use case.

    Raises:
        CatalogueError: If there is no such use case, naming the one that was probably meant.
    """
    if name not in (known := names()):
        near = difflib.get_close_matches(name, known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"known are {known}"
        raise CatalogueError(f"there is no use case {name!r}; {meant}")
    return next(Path(root, name) for root in pipelines.__path__ if Path(root, name).is_dir())


def declaration(name: str) -> Path:
    """The file in which a use case is declared.

    Raises:
        CatalogueError: If there is none, or two.
    """
    found = [path for form in ("use_case.py", DECLARED) if (path := folder(name) / form).is_file()]
    if len(found) > 1:
        raise CatalogueError(
            f"use case {name!r} is declared twice, in {found[0]} and {found[1].name}; keep one of them"
        )
    return found[0]


def use_case(name: str) -> UseCase:
    """The declaration of that name.

    Raises:
        CatalogueError: If there is none, or it cannot work.
    """
    path = declaration(name)
    try:
        found = _declared(path) if path.name == DECLARED else _coded(name)
    except DeclarationError as error:
        raise CatalogueError(f"{path}: {error}") from error
    if not isinstance(found, UseCase) or found.name != name:
        said = f"the use case {found.name!r}" if isinstance(found, UseCase) else f"no use case {name.upper()}"
        raise CatalogueError(f"{path} declares {said}; it must declare {name!r}, as its folder is called")
    return found


def definitions(name: str) -> "dg.Definitions":
    """What Dagster needs to know of a use case: `defs` of its own `definitions.py`, else what all have.

    Raises:
        CatalogueError: If there is no such use case, or it cannot work.
    """
    if (folder(name) / "definitions.py").is_file():
        own: dg.Definitions = importlib.import_module(f"pipelines.{name}.definitions").defs
        return own
    from pipelines.assembly import build_definitions

    return build_definitions(use_case(name), deliver=deliver_hook(name))


def deliver_hook(name: str) -> Deliver | None:
    """How the data of a use case is brought into the landing zone before each line; None if it lands by itself.

    A `feed.py` beside the declaration may hold `deliver(landing, echo)`; a YAML declaration may name origins.
    """
    path = declaration(name)
    if path.name == DECLARED:
        from pipelines.declared.build import load_deliver

        return load_deliver(path)
    return getattr(_feed(name), "deliver", None)


def publish_hook(name: str) -> Publish | None:
    """How the data that ships with a use case is published, once; None if none ships with it.

    A `feed.py` beside the declaration may hold `publish_default(landing, echo, until)`.
    """
    return getattr(_feed(name), "publish_default", None)


def _feed(name: str) -> object:
    has_one = (folder(name) / "feed.py").is_file()
    return importlib.import_module(f"pipelines.{name}.feed") if has_one else None


def _coded(name: str) -> object:
    return getattr(importlib.import_module(f"pipelines.{name}.use_case"), name.upper(), None)


def _declared(path: Path) -> UseCase:
    from pipelines.declared.build import load_use_case

    return load_use_case(path)
