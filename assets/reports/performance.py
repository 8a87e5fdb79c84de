"""The performance of the live model as people and machines read it: HTML, JSON, and pictures for the Dagster UI.

Belongs here: words, order and layout. Does not belong here: drawing (`performance_figures.py`), and measuring and
judging (`assets/logic/performance.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from assets.logic.control_chart import CHARTS, STATISTICS
from assets.logic.metrics import task_metrics
from assets.logic.wording import Unit, capital, number
from assets.reports.performance_figures import calibration, charted_statistics, control_charts, loss_by_day
from assets.reports.plot_style import image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE: Final = Path(__file__).with_name("performance.html.jinja")
UNKNOWN: Final = "n/a"
TITLES: Final = {
    "residual_ewma": "EWMA of the residual",
    "residual_cusum_up": "CUSUM of the residual, labels above predictions",
    "residual_cusum_down": "CUSUM of the residual, labels below predictions",
    "excess_loss_ewma": "EWMA of the loss beyond expectation",
    "excess_loss_cusum": "CUSUM of the loss beyond expectation",
    "lost_slope_ewma": "EWMA of the slope that was lost",
    "lost_slope_cusum": "CUSUM of the slope that was lost",
}
SPOKEN: Final = {
    "residual": "The residual",
    "excess_loss": "The loss beyond expectation",
    "lost_slope": "The slope that was lost",
}


@dataclass(frozen=True, kw_only=True)
class PerformancePage:
    """What is told of one window.

    Attributes:
        question: What the model is asked.
        window: Its row of `performance_windows`.
        days: Its rows of `performance_days`, in order.
        calibration: Predicted, observed and rows over bins of the labels that scores are of; empty without any.
        run_length: Days between false alarms that the limits are made for.
        created_at: When it was judged (UTC).
    """

    use_case: str
    question: str
    task: str
    window: Mapping[str, Any]
    days: pl.DataFrame
    calibration: pl.DataFrame
    run_length: int
    created_at: datetime


def headline(page: PerformancePage) -> str:
    """The verdict in a few words."""
    verdict = page.window["is_out_of_control"]
    if verdict is None:
        return "Not judged"
    return "Scores are out of control" if verdict else "Scores are in control"


def reasons(page: PerformancePage) -> list[str]:
    """Why, and what else a person should know, as full sentences."""
    window, deciding = page.window, task_metrics(page.task).deciding
    told = [window["note"]] if window["note"] else []
    alarms = [TITLES[name] for name in window["chart_alarms"]]
    told += [f"{name} is above its limit on {window['judged_day']}, the newest judged day." for name in alarms]
    charted = charted_statistics(page.days)
    for name in [name for name in STATISTICS if charted and name not in charted]:
        told.append(f"{SPOKEN[name]} is not charted: the test window of the version does not tell how it varies.")
    if window["loss"] is not None:
        text = f"{deciding.title} {number(window['loss'], deciding.unit)} over {_compared(window)}"
        text += f", {number(window['baseline_loss'], deciding.unit)} for the constant that is best for the same labels"
        told.append(text + _beside(window["reference_loss"], deciding.unit) + ".")
    if window["estimate_error"] is not None:
        error = window["estimate_error"]
        side = "high" if error >= 0 else "low"
        told.append(f"The estimate without labels was too {side} by {number(abs(error), deciding.unit)} on these days.")
    if window["refused_labels"]:
        told.append(f"Labels that are no finite numbers, and so count as not known: {window['refused_labels']:,}.")
    if window["overdue_limit"] is not None and window["overdue_share"] > window["overdue_limit"]:
        told.append(
            f"Labels are overdue: {window['overdue_share']:.1%} of the newest day that should have them are missing, "
            f"up to {window['overdue_limit']:.1%} is usual."
        )
    return told


def _compared(window: Mapping[str, Any]) -> str:
    """The days that scores are of: judged ones of one version, and how many of others are left out."""
    days, others = window["compared_days"], window["judged_days"] - window["compared_days"]
    text = f"{days} judged day{'' if days == 1 else 's'} of {window['model_version']}"
    return f"{text} ({others} of other versions are left out)" if others else text


def _beside(reference: float | None, unit: Unit) -> str:
    return "" if reference is None else f"; {number(reference, unit)} in the test window of the version"


def to_json(page: PerformancePage) -> dict[str, Any]:
    """The page as plain JSON values."""
    return {
        "use_case": page.use_case,
        "task": page.task,
        "created_at": page.created_at.isoformat(),
        "headline": headline(page),
        "reasons": reasons(page),
        "run_length": page.run_length,
        "window": {name: _plain(value) for name, value in page.window.items()},
        "days": [{name: _plain(value) for name, value in row.items()} for row in page.days.to_dicts()],
        "calibration": page.calibration.to_dicts(),
    }


def render_html(page: PerformancePage) -> str:
    """One page that needs nothing else: styles and pictures are inside it, and it fits light and dark screens."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    metrics = task_metrics(page.task)
    return template.render(
        page=page,
        window=page.window,
        headline=headline(page),
        reasons=reasons(page),
        numbers=_numbers(page),
        days=[_day_row(metrics.deciding.unit, row) for row in page.days.sort("day", descending=True).to_dicts()],
        pictures={name: image(figure, "svg") for name, figure in figures(page).items()},
        loss=metrics.deciding,
        words=metrics.words,
    )


def _numbers(page: PerformancePage) -> list[tuple[str, str]]:
    """What the window came to, named and written for people."""
    window, metrics = page.window, task_metrics(page.task)
    unit, loss = metrics.deciding.unit, metrics.deciding.name
    calibrated = metrics.metrics[metrics.calibration]
    found = [
        ("Model version", window["model_version"] or UNKNOWN),
        ("Rows, labels known", f"{window['rows']:,}, {window['labelled']:,}"),
        ("Judged days, those of the version", f"{window['judged_days']}, {window['compared_days']}"),
        (f"{capital(loss)} of its judged days", _number(window["loss"], unit)),
        ("The same of the best constant", _number(window["baseline_loss"], unit)),
        (f"{capital(loss)} in the test window", _number(window["reference_loss"], unit)),
        (f"Expected {loss} of all rows (estimate)", _number(window["expected_loss"], unit)),
        ("Error of the estimate on its judged days", _number(window["estimate_error"], unit)),
        ("ROC AUC of its judged days", _number(window["auc"], "score")),
        ("Expected ROC AUC of all rows (estimate)", _number(window["expected_auc"], "score")),
        ("ROC AUC in the test window", _number(window["reference_auc"], "score")),
        (calibrated.title, _number(window["calibration_error"], "share")),
        (f"{calibrated.title} in the test window", _number(window["reference_calibration_error"], "share")),
        ("Label less prediction, mean", _number(window["residual"], "score" if unit == "score" else unit)),
    ]
    return [(name, value) for name, value in found if value != UNKNOWN]


def _day_row(unit: Unit, day: Mapping[str, Any]) -> dict[str, Any]:
    highest = max((day[name] for name in CHARTS if day[name] is not None), default=None)
    return {
        "day": day["day"],
        "rows": f"{day['rows']:,}",
        "labelled": f"{day['labelled']:,}",
        **{name: _number(day[name], unit) for name in ("loss", "baseline_loss", "expected_loss", "residual")},
        "chart": UNKNOWN if highest is None else f"{highest:.0%}",
        "is_out": highest is not None and highest > 1,
        "is_estimate": day["is_estimate"],
    }


def _number(value: float | None, unit: Unit) -> str:
    return UNKNOWN if value is None else number(value, unit)


def figures(page: PerformancePage) -> dict[str, "Figure"]:
    """Pictures by name, as far as there is something to draw."""
    found: dict[str, Figure] = {}
    if charted_statistics(page.days):
        found["control_charts"] = control_charts(page.days)
    if len(page.days):
        found["loss_by_day"] = loss_by_day(page.task, page.days)
    if len(page.calibration):
        found["calibration"] = calibration(page.task, page.calibration)
    return found


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str | list) else str(value)
