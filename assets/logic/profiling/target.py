"""What is to be predicted: the kind of task, the classes, and where labels are missing.

Belongs here: the target column on its own and over time. Does not belong here: what predicts it (`leaks.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np
import polars as pl

from assets.logic.profiling.labels import as_classes, infer_task, labels, require_fit
from assets.logic.profiling.values import quoted, to_booleans, without_null_texts
from assets.policies import Task

Gaps = Literal["nowhere", "at_the_end", "throughout"]

MOST_CLASSES: Final = 200
"""A text with more different values is hardly a class to predict; it is said, not refused."""
RARE_ROWS: Final = 50
LATE: Final = 2 / 3
"""A class that first appears after this share of the rows in time appears late."""


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """One class: its value as text, its rows, its share of the labelled rows, and when it first occurs (UTC)."""

    value: str
    rows: int
    share: float
    first_seen: datetime | None = None
    is_late: bool = False

    @property
    def is_rare(self) -> bool:
        """Too few rows to be told apart with any certainty."""
        return self.rows < RARE_ROWS


@dataclass(frozen=True, kw_only=True)
class TargetProfile:
    """The target as it was found.

    Attributes:
        reason: Why this task, in one sentence.
        positive: Of a binary task, the value (as text) that becomes label 1.
        classes: Of a binary or multiclass task, the most frequent first; else empty.
        missing: Rows without a label.
        gaps: Where those rows are in time: at the end labels are under way, throughout the outcome stays unknown.
        label_delay: Time from the last label to the last row, where labels are missing at the end.
        quantiles: Minimum, median and maximum of a quantity or a count.
        misfits: Texts among the numbers of the target; their rows count as missing.
        notes: What a person should know, one sentence each.
    """

    name: str
    task: Task
    reason: str
    rows: int
    missing: int
    gaps: Gaps
    label_delay: timedelta | None = None
    positive: str | None = None
    classes: tuple[ClassShare, ...] = ()
    quantiles: tuple[float, float, float] | None = None
    misfits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def profile_target(
    frame: pl.DataFrame,
    target: str,
    event_time: pl.Series | None = None,
    *,
    task: Task | None = None,
    decimal_comma: bool = False,
) -> TargetProfile:
    """The target on its own and over time.

    Args:
        frame: The landed rows, shape (n, columns).
        target: Name of the column to predict.
        event_time: When each row happened (UTC), shape (n,), null where unknown; None: the order of the rows.
        task: The kind of task if it was chosen; None: inferred.
        decimal_comma: Numbers in text are written as `1.234,5`.

    Raises:
        TargetError: As `labels`; also if a chosen task does not fit the values.
    """
    values = labels(frame, target, decimal_comma=decimal_comma)
    landed = without_null_texts(frame[target])
    misfits = landed.filter(values.is_null() & landed.is_not_null()).cast(pl.String).unique().sort()
    task, reason = (task, "chosen") if task else infer_task(values)
    require_fit(values, target, task)
    time = event_time if event_time is not None else pl.Series(range(len(frame)), dtype=pl.Int64)
    gaps, delay = _gaps(values, time)
    shares = _classes(values, time) if task in ("binary", "multiclass") else ()
    numbers = values.drop_nulls() if task in ("regression", "count") else None
    found = TargetProfile(
        name=target,
        task=task,
        reason=reason,
        rows=len(values),
        missing=values.null_count(),
        gaps=gaps,
        label_delay=delay,
        positive=_positive(shares) if task == "binary" else None,
        classes=shares,
        misfits=tuple(misfits),
        quantiles=None if numbers is None else _spread(numbers),
    )
    return replace(found, notes=tuple(_notes(found)))


def _gaps(values: pl.Series, time: pl.Series) -> tuple[Gaps, timedelta | None]:
    """Where labels are missing: at the end if nine in ten of those rows lie in the last third of the rows."""
    rows = pl.DataFrame({"known": values.is_not_null(), "time": time}).drop_nulls().sort("time", maintain_order=True)
    missing = (~rows["known"]).arg_true()
    if not len(missing):
        return ("throughout" if values.has_nulls() else "nowhere"), None
    if (missing >= LATE * len(rows)).sum() < 0.9 * len(missing):
        return "throughout", None
    last, last_known = rows["time"].max(), rows.filter("known")["time"].max()
    if isinstance(last, datetime) and isinstance(last_known, datetime):
        return "at_the_end", last - last_known
    return "at_the_end", None


def _spread(numbers: pl.Series) -> tuple[float, float, float]:
    low, middle, high = np.quantile(numbers.to_numpy(), [0, 0.5, 1])
    return float(low), float(middle), float(high)


def _classes(values: pl.Series, time: pl.Series) -> tuple[ClassShare, ...]:
    rows = pl.DataFrame({"value": as_classes(values), "time": time}).filter(pl.col("value").is_not_null())
    late = rows["time"].quantile(LATE, "nearest")
    by_class = rows.group_by("value").agg(rows=pl.len(), first=pl.col("time").min())
    return tuple(
        ClassShare(
            value=value,
            rows=n,
            share=n / len(rows),
            first_seen=first if isinstance(first, datetime) else None,
            is_late=first is not None and late is not None and first > late,
        )
        for value, n, first in by_class.sort(["rows", "value"], descending=[True, False]).rows()
    )


def _positive(shares: Sequence[ClassShare]) -> str:
    """The value that is spelled as yes, else the rarer one."""
    spelled = to_booleans(pl.Series([s.value for s in shares]))
    yes = [s.value for s, is_yes in zip(shares, spelled, strict=True) if is_yes]
    return yes[0] if len(yes) == 1 else shares[-1].value


def _notes(target: TargetProfile) -> list[str]:
    found = []
    if target.misfits:
        found.append(f"{target.name!r} holds numbers and also {quoted(target.misfits)}; those rows have no label then.")
    if target.gaps == "at_the_end":
        delay = f" (up to {target.label_delay})" if target.label_delay is not None else ""
        found.append(f"{target.missing:,} labels are missing, and nearly all at the end: labels are under way{delay}.")
    if target.gaps == "throughout":
        found.append(
            f"{target.missing:,} of {target.rows:,} labels are missing throughout: those rows are not learnt from."
        )
    if late := [c.value for c in target.classes if c.is_late]:
        found.append(
            f"{quoted(late)} first appear(s) in the last third: until retrained, such rows are answered as other."
        )
    if rare := [c.value for c in target.classes if c.is_rare]:
        found.append(f"{len(rare)} class(es) have fewer than {RARE_ROWS} rows ({quoted(rare)}): too few to tell apart.")
    if len(target.classes) > MOST_CLASSES:
        found.append(f"{len(target.classes):,} classes are more than a model can tell apart; is this a name or an id?")
    if target.rows - target.missing < RARE_ROWS:
        found.append(f"{target.rows - target.missing} labelled rows are too few to train and judge a model.")
    return found
