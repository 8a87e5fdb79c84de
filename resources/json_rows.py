"""JSON lines as text columns: one object per line, in pieces.

Belongs here: from the lines of such a file to frames. Does not belong here: where the bytes come from (`formats.py`).
"""

import codecs
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, BinaryIO, Final

import polars as pl

from resources.dialects import Dialect
from resources.errors import SourceError

PIECE_ROWS: Final = 50_000

_Open = Callable[[], AbstractContextManager[BinaryIO]]


def json_pieces(opened: _Open, dialect: Dialect, where: str, piece_rows: int = PIECE_ROWS) -> Iterator[pl.DataFrame]:
    """The objects in order, one row each, as text columns; a key that an object lacks is missing there.

    JSON gives each value a type, not each column: the same key may hold 1 here and "one" there. So values become
    text: strings as they are, numbers and booleans as JSON writes them, lists and objects as JSON. The file is read
    twice, first for the names, as a key may appear for the first time in the last line.

    Raises:
        SourceError: If a line is no JSON object, or names a key twice; the message says which line.
    """
    names = list(dict.fromkeys(key for found in _objects(opened, dialect, where) for key in found))
    if not names:
        raise SourceError(f"{where} holds no values; deliver it complete")
    schema = dict.fromkeys(names, pl.String())
    nulls = set(dialect.null_values)
    objects = _objects(opened, dialect, where)
    while some := list(islice(objects, piece_rows)):
        columns = {name: [_text(found.get(name), nulls) for found in some] for name in names}
        yield pl.DataFrame(columns, schema=schema)


def _objects(opened: _Open, dialect: Dialect, where: str) -> Iterator[dict[str, Any]]:
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    with opened() as stream:
        number = 0
        try:
            for number, line in enumerate(codecs.getreader(encoding)(stream), start=1):
                if not line.strip():
                    continue
                found = json.loads(line, object_pairs_hook=_object, parse_constant=_constant)
                if not isinstance(found, dict):
                    raise SourceError(f"{where}, line {number}, is no JSON object; write one object per line")
                yield found
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{where} is not {dialect.encoding.upper()} after line {number}: {error.reason}; deliver it as UTF-8"
            ) from error
        except ValueError as error:
            raise SourceError(f"{where}, line {number}, is no JSON: {error}; write one object per line") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {sorted({n for n in names if names.count(n) > 1})} more than once")
    return found


def _constant(name: str) -> None:
    """Not a number is no measurement and becomes missing; infinity is refused."""
    if name != "NaN":
        raise ValueError(f"{name} is no number")


def _text(value: Any, nulls: set[str]) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return None if text in nulls else text
