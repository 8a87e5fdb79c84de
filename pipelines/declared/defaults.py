"""Features, families and baselines of a declaration that does not name any: a choice by its columns alone.

Belongs here: what nearly always helps and never needs a look at the data. Does not belong here: the blocks
(`features.py`), and choices by the data (`pipelines/starting`).
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from assets.partitions import Period
from assets.policies import Task
from pipelines.declared.schema import Trainer, UseCaseDeclaration
from pipelines.declared.schema_features import (
    Calendar,
    Features,
    Frequency,
    Lag,
    Latest,
    SameSlot,
    TargetRate,
    Window,
)

FAMILIES: Final[Mapping[Task, tuple[str, ...]]] = {
    "binary": ("logistic_regression", "catboost"),
    "multiclass": ("logistic_regression", "catboost"),
    "regression": ("ridge", "catboost"),
    "count": ("ridge", "catboost"),
}
LAGS: Final[Mapping[Period, tuple[int, ...]]] = {"day": (1, 2, 7, 14, 28, 364), "week": (7, 14, 28, 364), "month": ()}
"""Days back at which there is a row; months differ in length, so there is none."""
RECENT: Final[Mapping[Period, tuple[int, ...]]] = {"day": (7, 30), "week": (28, 91), "month": (91, 364)}
RATES: Final[Mapping[Period, tuple[int, ...]]] = {"day": (90,), "week": (182,), "month": (364,)}
MOST_RATES: Final = 6
"""Categories with a rate of their own, at most; more are named in the file."""


def default_trainers(task: Task) -> tuple[Trainer, ...]:
    """A linear family, which is hard to fool, and CatBoost, which is hard to beat on tables."""
    return tuple(Trainer(family=family) for family in FAMILIES[task])


def groups_of(declared: UseCaseDeclaration) -> tuple[str, ...]:
    """Columns of the key besides the time, if the time belongs to it: each is a series with a past of its own."""
    parts = {*declared.time.by_role.values(), declared.time.event_time}
    rest = tuple(name for name in declared.key if name not in parts)
    return rest if len(rest) < len(declared.key) else ()


def is_series(declared: UseCaseDeclaration) -> bool:
    """Whether there is at most one row per group and time, so that the value a week ago is a row."""
    return any(name in {*declared.time.by_role.values(), declared.time.event_time} for name in declared.key)


def default_features(declared: UseCaseDeclaration) -> Features:
    """Inputs as they are, the calendar, the past of the target, rates of categories, further tables.

    A key that only names its row (an order number) is left out; the past of the target of several classes is its
    categories' frequency only.
    """
    inputs = {
        n: c
        for n, c in declared.columns.items()
        if c.role == "input" and n not in (declared.target.column, declared.time.event_time)
    }
    own_name = set() if is_series(declared) else set(declared.key)
    usable = {n: c for n, c in inputs.items() if n not in own_name}
    categories = tuple(n for n, c in usable.items() if c.type == "text")[:MOST_RATES]
    has_mean, by, every = declared.target.task != "multiclass", groups_of(declared), declared.partitions.every
    window = Window(column=declared.target.column, by=by, over=days(RECENT[every]))
    rates = days(RATES[every])
    rated = tuple(n for n in categories if (n,) != by)
    return Features(
        as_is=tuple(n for n, c in usable.items() if c.type != "time"),
        calendar=(Calendar(parts=("hour", "weekday", "is_weekend", "month")),),
        lags=_lags(declared, by),
        same_slot=_same_slots(declared, by),
        windows=(window,) if has_mean else (),
        frequency=tuple(Frequency(by=(n,), over=rates) for n in categories) if not has_mean else (),
        target_rate=tuple(TargetRate(by=(n,), over=rates) for n in rated) if has_mean else (),
        latest=_latest(declared),
    )


def default_baselines(declared: UseCaseDeclaration, features: Features) -> dict[str, str]:
    """Of quantities: the value a while ago, if that is a feature of all rows together."""
    if declared.target.task not in ("regression", "count"):
        return {}
    from pipelines.declared.features import lag_names

    column = declared.target.column
    names = [n for lag in features.lags if lag.column == column for n in lag_names(lag, declared)]
    return {f"value_{names[0].removeprefix(f'{column}_')}": names[0]} if names else {}


def days(numbers: Sequence[int]) -> tuple[timedelta, ...]:
    """So many days each."""
    return tuple(timedelta(days=number) for number in numbers)


def waits(declared: UseCaseDeclaration) -> timedelta:
    """From a row's time back to the newest outcome that is known when its question is asked."""
    target, predict = declared.target, declared.predict
    known_after = target.delay_at_most if target.known_at else target.known_after or timedelta(0)
    return (predict.ahead or predict.longest or timedelta(0)) + known_after + declared.available_after


def _lags(declared: UseCaseDeclaration, by: tuple[str, ...]) -> tuple[Lag, ...]:
    if declared.target.task not in ("regression", "count") or not is_series(declared):
        return ()
    ago = [length for length in days(LAGS[declared.partitions.every]) if length >= waits(declared)][:3]
    return (Lag(column=declared.target.column, by=by, ago=tuple(ago)),) if ago else ()


def _same_slots(declared: UseCaseDeclaration, by: tuple[str, ...]) -> tuple[SameSlot, ...]:
    week = timedelta(days=7)
    if not _lags(declared, by) or waits(declared) > week:
        return ()
    return (SameSlot(column=declared.target.column, by=by, every=week, times=4),)


def _latest(declared: UseCaseDeclaration) -> tuple[Latest, ...]:
    """Further tables that share columns with the inputs; a key of a register is what it is found by."""
    found = []
    for name, table in declared.tables.items():
        by = tuple(n for n in table.key if n in declared.columns)
        rest = tuple(
            n for n, c in table.columns.items() if n not in by and c.role == "input" and c.type not in ("time",)
        )
        if rest and (by or table.time is not None):
            found.append(
                Latest(table=name, columns=rest, by=by, within=None if table.time is None else timedelta(days=7))
            )
    return tuple(found)
