"""Which columns identify a row, and whether rows repeat.

Belongs here: the search for a key. Does not belong here: what is done with repeated rows; without a key that is nothing
at all, because two equal rows may be two events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import polars as pl

from assets.logic.profiling.column_profile import ColumnKind, ColumnProfile

KEY_COLUMNS: Final = 3
CANDIDATES: Final = 12
"""Only the columns with the most different values are combined: 298 combinations at most."""
SAMPLED_ROWS: Final = 20_000
"""A combination that repeats here is no key; only the others are looked up in all rows."""
RANK: Final[dict[ColumnKind, int]] = {"identifier": 0, "time": 1, "category": 2, "boolean": 3, "integer": 4}
"""Kinds that may identify a row, likeliest first. Measured numbers and free text differ by chance, so they may not."""


@dataclass(frozen=True, kw_only=True)
class KeyFinding:
    """What identifies a row.

    Attributes:
        columns: The smallest key that was found, in the order of the table; empty if there is none.
        repeated_rows: Rows equal in every column to a row above them.
        sentence: Both in words, with what follows.
    """

    columns: tuple[str, ...]
    repeated_rows: int
    sentence: str


def find_key(frame: pl.DataFrame, columns: Sequence[ColumnProfile], without: Sequence[str] = ()) -> KeyFinding:
    """The smallest set of up to `KEY_COLUMNS` columns in which no two rows are equal.

    Where whole rows repeat, only one identifier can be a key (the rows were delivered twice then); a combination that
    happens to be unique among the different rows is not taken for one.

    Args:
        frame: The landed rows, shape (n, columns).
        columns: Profiles of its columns.
        without: Columns that cannot belong to a key, such as the target.
    """
    repeated = len(frame) - frame.n_unique() if frame.width else 0
    able = [
        c
        for c in columns
        if c.kind in RANK and not c.missing and not c.is_constant and c.filled and c.name not in without
    ]
    if repeated:
        return _key_of_repeated(frame.unique(), [c for c in able if c.kind == "identifier"], repeated)
    able = sorted(able, key=lambda c: (-c.distinct, RANK[c.kind]))[:CANDIDATES]
    for size in range(1, KEY_COLUMNS + 1):
        found = [names for names in combinations(able, size) if _is_unique(frame, [c.name for c in names])]
        if found and len(frame) > 1:
            best = min(found, key=lambda names: sum(RANK[c.kind] for c in names))
            names = tuple(n for n in frame.columns if n in {c.name for c in best})
            return KeyFinding(columns=names, repeated_rows=0, sentence=f"No two rows are equal in {_listed(names)}.")
    sentence = f"No {KEY_COLUMNS} columns identify a row, so the table has no key; every row is kept as it is."
    return KeyFinding(columns=(), repeated_rows=0, sentence=sentence)


def _key_of_repeated(different: pl.DataFrame, identifiers: Sequence[ColumnProfile], repeated: int) -> KeyFinding:
    rows = f"{repeated:,} rows repeat a row above them in every column"
    for column in identifiers:
        if different[column.name].n_unique() == len(different) > 1:
            sentence = f"{rows}, and {column.name!r} identifies the others: with it as key they count once."
            return KeyFinding(columns=(column.name,), repeated_rows=repeated, sentence=sentence)
    sentence = (
        f"{rows}, and no column identifies a row. They may be events of their own, so all are kept; name a key if they "
        "are copies."
    )
    return KeyFinding(columns=(), repeated_rows=repeated, sentence=sentence)


def _is_unique(frame: pl.DataFrame, names: list[str]) -> bool:
    head = frame.select(names).head(SAMPLED_ROWS)
    return head.n_unique() == len(head) and (len(head) == len(frame) or frame.select(names).n_unique() == len(frame))


def _listed(names: Sequence[str]) -> str:
    return " + ".join(repr(n) for n in names)
