"""Which columns identify a row: what was found in the data, held against what could be an accident of the sample.

Belongs here: the choice. A wrong key makes rows disappear that only look alike, so in doubt there is none.
Does not belong here: the search (`assets/logic/profiling/keys.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from assets.logic.profiling.labels import require_column
from assets.logic.profiling.profile import Profile

DENSE: Final = 0.3
"""Share of all pairs of group and time that must be there for a table to be one of series."""
SHARED: Final = 1.5
"""Rows per time from which on times are shared by groups; by accident they seldom are."""
REGULAR: Final = 0.5
"""Share of the steps between rows that must be equal for a table to be one series."""


@dataclass(frozen=True, kw_only=True)
class ChosenKey:
    """The key, and why, in one sentence.

    Attributes:
        columns: Columns of the landed table, parts of the time among them; empty: none.
        repeated: Sampled rows that are equal in the key to one above them.
    """

    columns: tuple[str, ...]
    reason: str
    repeated: int = 0


def choose_key(
    frame: pl.DataFrame,
    profile: Profile,
    event_time: pl.Series,
    parts: Sequence[str],
    wished: Sequence[str] | None,
    leaky: Collection[str],
    *,
    is_sample: bool,
) -> ChosenKey:
    """The key of a table.

    Args:
        frame: The rows, shape (n, columns).
        profile: Their profile.
        event_time: When each happened (UTC), shape (n,).
        parts: Columns that make up the time.
        wished: What the person said; None: nothing.
        leaky: Columns that may know the outcome: nobody can be asked about them.
        is_sample: The rows are not all rows, so that none repeats proves little.

    Raises:
        TargetError: If a wished column does not exist.
    """
    if wished is not None:
        for name in wished:
            require_column(name, frame.columns, "key")
        return _wished(frame, tuple(wished))
    found = profile.key.columns
    kinds = {c.name: c.kind for c in profile.columns}
    if len(found) == 1 and found[0] not in parts and found[0] not in leaky and kinds[found[0]] == "identifier":
        return ChosenKey(columns=found, reason=profile.key.sentence)
    series = _series(frame, profile, event_time, parts, leaky)
    if series is not None:
        return series
    if not found:
        return ChosenKey(columns=(), reason=profile.key.sentence)
    some = " of the rows looked at" if is_sample else ""
    reason = (
        f"No two{some} are equal in {', '.join(found)}, which may be an accident, so no key is taken and no row is "
        "taken for a copy; name it with --key if it is one."
    )
    return ChosenKey(columns=(), reason=reason)


def _wished(frame: pl.DataFrame, wished: tuple[str, ...]) -> ChosenKey:
    if not wished:
        return ChosenKey(columns=(), reason="You said that there is none.")
    repeated = len(frame) - frame.select(wished).n_unique()
    said = f"You named it; {repeated:,} rows repeat one above them." if repeated else "You named it; no row repeats."
    return ChosenKey(columns=wished, reason=said, repeated=repeated)


def _series(
    frame: pl.DataFrame, profile: Profile, event_time: pl.Series, parts: Sequence[str], leaky: Collection[str]
) -> ChosenKey | None:
    """The time alone where rows come at regular steps, or with one column of groups that are there most of the time."""
    timed = frame.with_columns(event_time.alias("__time")).drop_nulls("__time")
    if not len(timed):
        return None
    times = timed["__time"].n_unique()
    if times == len(timed):
        steps = timed["__time"].sort().diff().drop_nulls()
        most = steps.value_counts()["count"].max() if len(steps) else 0
        if isinstance(most, int) and most >= REGULAR * len(steps):
            return ChosenKey(columns=tuple(parts), reason="There is one row per time, at regular steps.")
        return None
    able = ("identifier", "category", "integer", "boolean")
    for column in profile.columns:
        if column.kind not in able or column.missing or column.name in (*parts, *leaky, profile.target.name):
            continue
        pairs = timed.select("__time", column.name)
        is_dense = len(timed) >= times * max(DENSE * column.distinct, SHARED)
        if column.distinct > 1 and is_dense and pairs.n_unique() == len(pairs):
            reason = f"There is one row per {column.name} and time, nearly everywhere: a series for each."
            return ChosenKey(columns=(column.name, *parts), reason=reason)
    return None
