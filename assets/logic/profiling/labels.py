"""The target column as labels: numbers or classes, and which task they make.

Belongs here: reading the target, and refusing one that nothing can be learnt from. Does not belong here: its profile
(`target.py`).
"""

import difflib
from collections.abc import Sequence
from typing import Final

import polars as pl

from assets.logic.profiling.values import quoted, to_numbers, without_null_texts
from assets.policies import Task
from resources.errors import InputError

FEW_CLASSES: Final = 10
"""Up to so many different whole numbers may be names of classes."""
TYPICAL_COUNT: Final = 100
"""Whole numbers whose median is above it are quantities: their steps of 1 no longer matter."""
MOSTLY: Final = 0.8
"""With this share of numbers, and more than `FEW_CLASSES` different ones, texts among them are misfits, not classes."""


class TargetError(InputError):
    """A target that nothing can be learnt from; the message names the column and what to do."""


def require_column(name: str, columns: Sequence[str], role: str = "target") -> None:
    """Refuse a name that the table does not have, with the nearest names it has.

    Raises:
        TargetError: If there is no such column.
    """
    if name in columns:
        return
    folded = {c.casefold(): c for c in reversed(columns)}
    near = [folded[c] for c in difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.5)]
    near = near or [c for c in columns if name.casefold() in c.casefold()][:3]
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"it has {quoted(list(columns), 12)}."
    raise TargetError(f"The table has no column {name!r} to be the {role}; {hint}")


def labels(frame: pl.DataFrame, target: str, *, decimal_comma: bool = False) -> pl.Series:
    """The target without null texts: Float64 if its values are numbers, text otherwise. Shape (n,).

    Texts among many different numbers become null.

    Raises:
        TargetError: If the column is absent, holds no value, or only one.
    """
    require_column(target, frame.columns)
    values = without_null_texts(frame[target])
    different = values.drop_nulls().n_unique()
    if not different:
        raise TargetError(
            f"Target {target!r} is empty in all {len(values):,} rows, so there is nothing to learn from; "
            "choose another column, or deliver rows whose outcome is known."
        )
    if different == 1:
        only = values.drop_nulls()[0]
        raise TargetError(
            f"Target {target!r} is {only!r} wherever it is known, and nothing can be learnt from one outcome; "
            "choose another column, or deliver rows with other outcomes too."
        )
    if values.dtype == pl.Boolean:
        return values.cast(pl.String)
    numbers = to_numbers(values, decimal_comma=decimal_comma)
    fits = numbers.count() / values.count()
    is_quantity = fits == 1 or (fits >= MOSTLY and numbers.drop_nulls().n_unique() > FEW_CLASSES)
    return numbers if is_quantity else values.cast(pl.String)


def infer_task(values: pl.Series) -> tuple[Task, str]:
    """The likeliest kind of task and why. A person may know better, so every doubt is in the sentence.

    Args:
        values: As `labels` returns them, with at least two different values.
    """
    known = values.drop_nulls()
    different = known.n_unique()
    if different == 2:
        return "binary", "the target has two values"
    if values.dtype == pl.String:
        return "multiclass", f"the target is text with {different:,} different values"
    if not bool((known % 1 == 0).all()):
        return "regression", "the target holds numbers with decimals"
    low, middle, mean = (float(x or 0) for x in (known.min(), known.median(), known.mean()))  # type: ignore[arg-type]
    if low in (0, 1) and middle <= TYPICAL_COUNT and mean > middle and (low == 0 or different > FEW_CLASSES):
        doubt = "; if these numbers are names of classes, write multiclass" if different <= FEW_CLASSES else ""
        return "count", f"the target holds whole numbers from {low:.0f} on, most of them small{doubt}"
    if different <= FEW_CLASSES and low >= 0:
        return (
            "multiclass",
            f"the target holds only {different} whole numbers; if they are quantities, write regression",
        )
    return "regression", "the target holds many different whole numbers"


def require_fit(values: pl.Series, target: str, task: Task) -> None:
    """Refuse a chosen task that these labels cannot be.

    Raises:
        TargetError: If they cannot, saying which task would fit.
    """
    different = values.drop_nulls().n_unique()
    if task == "binary" and different != 2:
        raise TargetError(
            f"Target {target!r} has {different:,} different values, and a binary task needs 2; "
            "choose multiclass, or a column with two values."
        )
    if task in ("regression", "count") and values.dtype == pl.String:
        texts = [t for t in values.unique().drop_nulls().sort() if to_numbers(pl.Series([t])).has_nulls()]
        raise TargetError(
            f"Target {target!r} holds texts such as {quoted(texts)}, and a {task} needs numbers; "
            "clean them, or choose multiclass."
        )
    if task == "count" and bool(((values < 0) | (values % 1 != 0)).any()):
        raise TargetError(f"Target {target!r} holds numbers that are no whole numbers from 0 on; choose regression.")


def as_classes(values: pl.Series) -> pl.Series:
    """Labels as text: whole numbers without decimals. Shape (n,)."""
    if values.dtype == pl.String:
        return values
    is_whole = bool((values.drop_nulls() % 1 == 0).all())
    return (values.cast(pl.Int64) if is_whole else values).cast(pl.String)
