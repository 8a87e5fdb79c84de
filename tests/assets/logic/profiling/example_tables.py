"""Tables as people land them (all text), honest ones and five unlike ones into which leaks are planted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from assets.policies import Task

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression", "count")


@dataclass(frozen=True)
class Landed:
    frame: pl.DataFrame
    target: str
    task: Task
    event_time: pl.Series
    outcome: np.ndarray


def text(values: object, decimals: int = 3) -> pl.Series:
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return pl.Series([None if np.isnan(v) else f"{v:.{decimals}f}" for v in array], dtype=pl.String)
    return pl.Series([str(v) for v in array])


def hours(n: int, step: int = 1) -> pl.Series:
    start = datetime(2022, 1, 3, tzinfo=UTC)
    return pl.Series([start + timedelta(hours=step * i) for i in range(n)], dtype=pl.Datetime("us", "UTC"))


def honest(seed: int, task: Task | None = None, n: int | None = None) -> Landed:
    """A table whose columns were all known before: effects of any strength, seasons, trends, gaps, groups, ids."""
    r = np.random.default_rng(seed)
    task = task or TASKS[seed % 4]
    n = n or int(r.choice([300, 1_000, 4_000]))
    time = hours(n, int(r.choice([1, 6, 24])))
    hour = np.array(time.dt.hour().to_list())
    signal = np.zeros(n)
    frame: dict[str, pl.Series] = {"happened_at": time.dt.strftime("%Y-%m-%d %H:%M:%S")}
    for i in range(int(r.integers(2, 9))):
        x = r.normal(size=n) if r.random() < 0.7 else np.cumsum(r.normal(size=n)) / np.sqrt(n)
        signal += r.gamma(1.0, 0.6) * (x if r.random() < 0.7 else np.abs(x))
        frame[f"x{i}"] = text(np.where(r.random(n) < r.choice([0, 0.1, 0.5]), np.nan, x))
    group = r.integers(0, int(r.choice([3, 30, 300])), n)
    signal += r.gamma(1.0, 0.4) * r.normal(size=300)[group]
    frame["group"] = text([f"g{g}" for g in group])
    frame["is_first"] = text(r.random(n) < r.random())
    frame["row_id"] = text(np.arange(n) + 1000)
    frame["reference"] = text([f"{v:08x}" for v in r.integers(0, 2**32, n)])
    frame["later_added"] = text(np.where(np.arange(n) < n * r.random(), np.nan, r.normal(size=n)))
    signal += np.sin(hour / 24 * 2 * np.pi) * r.gamma(1.0, 0.5) + r.choice([0, 0, 2]) * np.arange(n) / n
    signal += r.normal(size=n) * r.choice([0.5, 1.0, 2.0])
    frame["outcome"], raw = _outcome(signal, task, r)
    return Landed(pl.DataFrame(frame), "outcome", task, time, raw)


def _outcome(signal: np.ndarray, task: Task, r: np.random.Generator) -> tuple[pl.Series, np.ndarray]:
    signal = (signal - signal.mean()) / signal.std()
    if task == "binary":
        won = signal > np.quantile(signal, r.choice([0.5, 0.8, 0.95]))
        return text(np.where(won, "yes", "no")), won.astype(float)
    if task == "multiclass":
        edges = np.quantile(signal, np.sort(r.random(int(r.integers(2, 5)))))
        kinds = np.searchsorted(edges, signal)
        return text([f"kind {k}" for k in kinds]), kinds.astype(float)
    if task == "count":
        counts = r.poisson(np.exp(0.7 * signal + 0.5))
        return text(counts), counts.astype(float)
    return text(100 + 20 * signal), 100 + 20 * signal


def ranks(outcome: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(outcome, kind="stable"), kind="stable") / len(outcome)


def leak(kind: str, table: Landed, seed: int = 0) -> pl.Series:
    """A column that was written after the outcome, as `kind` says."""
    r = np.random.default_rng([seed, len(kind)])
    y, n = table.outcome, len(table.outcome)
    values = {
        "copy": lambda: text(y),
        "recoded": lambda: text([f"code-{(int(v) * 7919) % 1009}" for v in np.round(y)]),
        "other_units": lambda: text(-3.6 * y + 17.25),
        "with_a_unit": lambda: pl.Series([f"{v * 2.2:.2f} lb" for v in y]),
        "noisy": lambda: text(y + r.normal(size=n) * 0.2 * y.std()),
        "flipped": lambda: text(np.where(r.random(n) < 0.02, r.permutation(y), y)),
        "piece": lambda: text((y == np.bincount(np.round(np.abs(y)).astype(int)).argmax()).astype(int)),
        "with_gaps": lambda: text(np.where(r.random(n) < 0.4, np.nan, y)),
        "filled_after": lambda: _filled(y > y.mean(), r, 1.0),
        "filled_seldom": lambda: _filled(y > y.mean(), r, 0.3),
        "id_by_outcome": lambda: pl.Series([f"A{int(v * 1e6):07d}" for v in ranks(y + r.random(n) * 1e-6)]),
    }
    return values[kind]()


def _filled(when: np.ndarray, r: np.random.Generator, share: float) -> pl.Series:
    return text(np.where(when & (r.random(len(when)) < share), r.normal(size=len(when)), np.nan))


def late_times(table: Landed, seed: int = 0) -> pl.Series:
    """When each case was closed: after the event, the longer the higher the outcome ranks. UTC."""
    r = np.random.default_rng(seed)
    minutes = 60 + 600 * ranks(table.outcome) + r.random(len(table.outcome)) * 30
    return pl.Series([t + timedelta(minutes=float(m)) for t, m in zip(table.event_time, minutes, strict=True)])


def with_late_class(table: Landed) -> Landed:
    """The same table with a class that first appears in the last fifth of time."""
    n = len(table.frame)
    is_new = (np.arange(n) > 0.8 * n) & (np.arange(n) % 3 == 0)
    kinds = table.frame[table.target].to_numpy(allow_copy=True).astype(object)
    kinds[is_new] = "kind new"
    outcome = np.where(is_new, 9.0, table.outcome)
    return Landed(
        table.frame.with_columns(pl.Series(table.target, kinds, dtype=pl.String)),
        table.target,
        table.task,
        table.event_time,
        outcome,
    )


def table_of(task: Task, seed: int = 3) -> Landed:
    """Four unlike tables; the multiclass one has a class that comes late."""
    table = honest(seed + 40, task, 2_000)
    return with_late_class(table) if task == "multiclass" else table
