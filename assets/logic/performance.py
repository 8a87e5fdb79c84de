"""How well predictions did over the trailing window of each partition, as known at its end, and the verdict.

Belongs here: windows, what they came to, and whether that is in control. Does not belong here: what is known of
a window (`performance_window.py`), charts (`control_chart.py`), and where rows come from (`assets/stages`).

Point in time: a window knows a label only if it was known at the end of its partition. So a window says the same
whether it is judged on that evening or a year later, alone or with others.

Judged are days whose labels are in: the usual delay of their version has passed since their last question. Labels that
are there before are those that come early, which are not like the rest (a parcel that is late is late to be counted).
Until then a day has an expected loss, marked as an estimate. Charts run over at most `window` judged days up to the
newest; they start with the days of the version that made the newest one, because what another version made is not in
its terms. After a new version is live they see fewer days, and alarm less often than their limits promise, not more.
So they do where partitions are weeks or months: only the newest day of each is looked at.

A verdict is about its newest judged day. Where labels stopped coming that day stays, and its verdict with it: too long
after it there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from assets.logic.control_chart import CHARTS, STATISTICS
from assets.logic.expectations_of_loss import expected_auc
from assets.logic.in_control import baseline_rows, scores_of
from assets.logic.metrics import Floats
from assets.logic.performance_days import ScoredRows
from assets.logic.performance_tables import DAYS_SCHEMA, UNDER_WAY, WINDOWS_SCHEMA
from assets.logic.performance_window import Moment, Seen, Yardstick, seen_at
from assets.logic.retraining_times import spoken

OVERDUE_MARGIN: Final = 0.1
"""Share of rows by which a day may lack more labels than the worst day in control before labels count as overdue."""
REFERENCES: Final = ("loss", "auc", "calibration_error")
"""Scores of a version in its test window that stand beside its scores since."""
ONE_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, kw_only=True)
class Performance:
    """What `performance_tables.py` describes: a row per partition, and a row per partition and day of its window."""

    windows: pl.DataFrame
    days: pl.DataFrame


def window_days(yardsticks: Sequence[Yardstick], window: int) -> int:
    """Days of a window: those that are judged, and at its end those whose labels may be under way."""
    return window + max([y.in_control.days_under_way for y in yardsticks if y.in_control is not None], default=0)


def judged(
    task: str,
    rows: ScoredRows,
    moments: Sequence[Moment],
    yardsticks: Sequence[Yardstick],
    *,
    window: int,
    stale_after: timedelta,
) -> Performance:
    """Windows and days of partitions, some milliseconds each.

    Args:
        task: Kind of task.
        rows: Scored rows with all days of all windows.
        moments: The partitions.
        yardsticks: By the index of the version that rows have.
        window: Days of a window that are judged at most.
        stale_after: How long the newest day whose labels should be in may lie after the newest judged one.
    """
    windows: list[dict[str, Any]] = []
    days: list[pl.DataFrame] = [pl.DataFrame(schema=DAYS_SCHEMA)]
    for moment in moments:
        last = np.datetime64(moment.last_day)
        first = last - window * ONE_DAY + ONE_DAY
        # Only of versions in this very window: a run over more partitions must not see more of each.
        here = [yardsticks[int(v)] for v in np.unique(rows.between(first, last).version)]
        first = last - window_days(here, window) * ONE_DAY + ONE_DAY
        seen = seen_at(rows.between(first, last), moment, yardsticks)
        found = {"partition_key": moment.key, "window_start": first.item(), "window_end": last.item()}
        windows.append(found | _scores(task, seen) | _labels(seen) | _verdict(seen, window, stale_after))
        days.append(_days(task, seen, moment.key, window))
    return Performance(windows=pl.DataFrame(windows, schema=WINDOWS_SCHEMA), days=pl.concat(days))


def _scores(task: str, seen: Seen) -> dict[str, Any]:
    """What predictions came to, beside what was expected of them."""
    newest, compared = seen.newest, seen.settled.rows(seen.is_compared)
    like = None if newest is None else newest.in_control
    return {
        **scores_of(task, compared),
        "compared_days": len(np.unique(compared.day)),
        "residual": _mean(compared.residual),
        "expected_loss": _mean(seen.expected),
        "estimate_error": _mean(seen.settled_expected[seen.is_compared] - compared.loss),
        "expected_auc": expected_auc(seen.rows.prediction) if task == "binary" and len(seen.rows.day) else None,
        **{f"reference_{name}": None if like is None else like.scores[name] for name in REFERENCES},
    }


def _labels(seen: Seen) -> dict[str, Any]:
    """How many labels are there or of no use, and what share is overdue on the newest day that should have them."""
    found: dict[str, Any] = {
        "rows": len(seen.rows.day),
        "labelled": int(seen.known.sum()),
        "refused_labels": int(seen.refused.sum()),
        "judged_days": int(seen.judged.sum()),
        "judged_day": seen.days.day[seen.judged][-1].item() if seen.judged.any() else None,
        "overdue_share": None,
        "overdue_limit": None,
    }
    if seen.due.any():
        newest = np.flatnonzero(seen.due)[-1]
        like = seen.yardsticks[int(seen.days.version[newest])].in_control
        found["overdue_share"] = float(1 - seen.days.labelled[newest] / seen.days.rows[newest])
        found["overdue_limit"] = None if like is None else min(1.0, like.worst_unlabelled_share + OVERDUE_MARGIN)
    return found


def _verdict(seen: Seen, window: int, stale_after: timedelta) -> dict[str, Any]:
    """Which charts are out of control on the newest judged day; a note if that cannot be told."""
    newest, charts, alarms, note = seen.newest, seen.charts, None, _unjudged(seen, stale_after)
    if note is None and charts is not None:
        alarms = charts.alarms(seen.statistics(window))
    return {
        "chart_alarms": alarms or [],
        "is_out_of_control": None if alarms is None else bool(alarms),
        "model_version": None if newest is None else newest.version,
        "note": note,
    }


def _unjudged(seen: Seen, stale_after: timedelta) -> str | None:
    """Why there is no verdict, as a full sentence; None if there is one."""
    newest, live = seen.newest, seen.live
    if newest is None or live is None:
        return "There are no predictions in this window."
    if live.in_control is None:
        return live.reason  # what another version did before says nothing of this one
    due, judged_days = seen.days.day[seen.due], seen.days.day[seen.judged]
    if not len(due):
        return UNDER_WAY
    awaited = f"The labels of {due[-1]} should be in, and"
    if not len(judged_days):
        return f"{awaited} no day of this window has enough of them."
    if newest.charts is None:
        return newest.reason
    is_stale = due[-1].item() - judged_days[-1].item() > stale_after
    told = f"{awaited} {judged_days[-1]} is the newest day with enough of them: more than {spoken(stale_after)} before."
    return told if is_stale else None


def _days(task: str, seen: Seen, key: str, window: int) -> pl.DataFrame:
    """The days of the window as rows of the table."""
    days, count = seen.days, len(seen.days.day)
    baseline = np.full(count, np.nan)
    if len(seen.settled.day):
        places = np.searchsorted(days.day, seen.settled.day)
        total = np.bincount(places, weights=baseline_rows(task, seen.settled), minlength=count)
        baseline = np.divide(total, days.labelled, out=baseline, where=seen.judged)
    told = {"loss": days.loss, **dict(zip(STATISTICS, days.values.T, strict=True))}
    charts = dict.fromkeys(CHARTS, np.full(count, np.nan))
    if (known := seen.charts) is not None:
        charted = seen.charted(window)
        for name, values in known.run(seen.statistics(window)).items():
            charts[name] = np.full(count, np.nan)
            charts[name][charted] = values / known.limits[name]
    frame = pl.DataFrame(
        {
            "partition_key": [key] * count,
            "day": days.day,
            "rows": days.rows.astype(np.int64),
            "labelled": days.labelled.astype(np.int64),
            "baseline_loss": baseline,
            "expected_loss": days.expected,
            **{name: np.where(seen.judged, values, np.nan) for name, values in told.items()},
            **charts,
            "is_estimate": ~seen.judged,
            "model_version": [seen.yardsticks[int(v)].version for v in days.version],
        }
    ).select(list(DAYS_SCHEMA))
    return frame.cast(pl.Schema(DAYS_SCHEMA)).with_columns(pl.selectors.float().fill_nan(None))


def _mean(values: Floats) -> float | None:
    """The mean of values; None if there are none, or one of them is not known."""
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None
