"""Values that belong to the meaning of an asset: as text that is the same in every process, and the code behind them.

Belongs here: walking through a declared value. Does not belong here: reading code (`code_files.py`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
OWN_FUNCTION: Final = "AnonymousFunction"
"""In a written expression of Polars: a Python function, whose bytes say where it stands in its file."""


@dataclass(frozen=True)
class Code:
    """Where code is: a module, and a name at its top; without a name all of the module."""

    module: str
    name: str


def spoken(value: object) -> tuple[str, list[Code]]:
    """A value as text, and the functions and classes it is made of, all the way down.

    Two values give the same text if they are equal in all they hold. A function is told by its name, its code is among
    the codes, and so is what a dataclass names in an attribute `entries` (`package.module:name`). Of what has no text
    of its own, its class counts and what it holds.
    """
    codes: list[Code] = []
    return _spoken(value, codes, ()), codes


def name_of(function: Callable[..., object]) -> str:
    """How a person calls a function: its path, or that of its class if it is a value."""
    named = type(function) if is_dataclass(function) else function
    return f"{named.__module__}.{getattr(named, '__qualname__', named)}"


def _spoken(value: object, codes: list[Code], around: tuple[int, ...]) -> str:
    if id(value) in around:
        return "..."
    around = (*around, id(value))
    if isinstance(value, Mapping | Set | list | tuple) and not hasattr(value, "_fields"):
        return _container(value, codes, around)
    if isinstance(value, partial):
        return f"partial{_spoken((value.func, value.args, value.keywords), codes, around)}"
    if isinstance(value, FunctionType | MethodType | type):
        return _function(value, codes, around)
    if is_dataclass(value):
        codes.append(_code(type(value)))
        codes += [Code(*entry.split(":")) for entry in getattr(value, "entries", ())]
        held = [(f.name, getattr(value, f.name)) for f in fields(value) if f.repr]
        return f"{name_of(type(value))}{_spoken(held, codes, around)}"
    return _leaf(value, codes, around)


def _container(value: Iterable[object], codes: list[Code], around: tuple[int, ...]) -> str:
    if isinstance(value, Mapping):
        inside = (f"{_spoken(k, codes, around)}: {_spoken(v, codes, around)}" for k, v in value.items())
        return "{" + ", ".join(inside) + "}"
    parts = [_spoken(part, codes, around) for part in value]
    return "{" + ", ".join(sorted(parts)) + "}" if isinstance(value, Set) else "(" + ", ".join(parts) + ")"


def _function(value: Any, codes: list[Code], around: tuple[int, ...]) -> str:
    """The path of a function or class, and what a function made by another holds of it."""
    if isinstance(value, MethodType):
        return f"{_spoken(value.__self__, codes, around)}.{value.__name__}"
    codes.append(_code(value))
    held = [cell.cell_contents for cell in getattr(value, "__closure__", None) or () if _is_filled(cell)]
    return f"{name_of(value)}{_spoken(held, codes, around) if held else ''}"


def _leaf(value: object, codes: list[Code], around: tuple[int, ...]) -> str:
    if isinstance(value, re.Pattern):
        return f"{value.pattern!r}/{value.flags}"
    if (written := _expression(value)) is not None:
        return written
    said = repr(value)
    if not ADDRESS.search(said):
        return said
    if isinstance(value, BuiltinFunctionType):
        return name_of(value)
    codes.append(_code(type(value)))
    return f"{name_of(type(value))}{_spoken(dict(_held(value)), codes, around)}"


def _expression(value: object) -> str | None:
    """An expression of Polars in full: as text, a long list in it is cut short."""
    meta: Any = getattr(value, "meta", None)
    if not type(value).__module__.startswith("polars.") or not hasattr(meta, "serialize"):
        return None
    written = str(meta.serialize(format="json"))
    return str(value) if OWN_FUNCTION in written else written


def _held(value: object) -> Iterator[tuple[str, object]]:
    yield from getattr(value, "__dict__", {}).items()
    slots: Iterable[str] = (name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()))
    yield from ((name, getattr(value, name)) for name in slots if hasattr(value, name))


def _code(value: Any) -> Code:
    """Where a function or class stands: what is defined inside another counts as that."""
    return Code(value.__module__ or "builtins", value.__qualname__.split(".")[0].strip("<>"))


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True
