"""Made-up years in which nothing happens but noise, weather and season: day by day histograms of made-up columns."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import norm

from assets.logic.drift_bins import Bins, Floats
from assets.logic.drift_histograms import DayCounts

BINS = 10
DAY_SPREAD = 0.5
"""How far the mean of a day strays, in spreads of the rows of a day."""
GROUPS = {"weather": 5, "schedule": 3, "prediction": 1}
"""Groups of made-up columns, and how many columns each has."""


def quiet_days(
    rng: np.random.Generator, days: int, columns: int, *, memory: float = 0.0, season: float = 0.0, rows: int = 300
) -> Floats:
    """Counts of rows by day, column and bin, shape (days, columns, BINS).

    Args:
        rng: Source of chance.
        days: How many.
        columns: How many; half of what moves a day's mean is common to all.
        memory: Correlation of a day's mean with that of the day before.
        season: Largest amplitude over the year, in spreads of the rows of a day.
        rows: Rows a day.
    """
    drawn = rng.standard_normal((days, columns + 1))
    for day in range(1, days):
        drawn[day] = memory * drawn[day - 1] + np.sqrt(1 - memory**2) * drawn[day]
    wave = np.sin(2 * np.pi * (np.arange(days)[:, None] / 365 + rng.random(columns)))
    means = DAY_SPREAD * (drawn[:, :1] + drawn[:, 1:]) / np.sqrt(2) + season * rng.random(columns) * wave
    cuts = norm.ppf(np.arange(1, BINS) / BINS) * np.sqrt(1 + DAY_SPREAD**2 + season**2 / 4)
    below = norm.cdf(cuts - means[:, :, None])
    shares = np.diff(np.concatenate([np.zeros((days, columns, 1)), below, np.ones((days, columns, 1))], axis=2), axis=2)
    return rng.multinomial(rows, shares / shares.sum(axis=2, keepdims=True)).astype(np.int64)


def counted(days: Floats, first: str = "2013-01-01") -> dict[str, DayCounts]:
    """The counts as those of the columns of `GROUPS`."""
    found, at = {}, 0
    for group, columns in GROUPS.items():
        found[group] = DayCounts(
            first=np.datetime64(first, "D"),
            rows=days[:, at].sum(axis=1),
            counts={f"{group}_{i}": days[:, at + i] for i in range(columns)},
        )
        at += columns
    return found


def bins() -> Mapping[str, list[Bins]]:
    """Bins of the columns of `GROUPS`."""
    edges = tuple(float(i) for i in range(BINS - 1))
    return {
        group: [Bins(column=f"{group}_{i}", kind="numeric", edges=edges, counts_nulls=False) for i in range(columns)]
        for group, columns in GROUPS.items()
    }
