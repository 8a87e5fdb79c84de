"""The performance of the live model as people and machines read it: HTML, JSON, and pictures for the Dagster UI.

Belongs here: words, order, layout and drawing. Does not belong here: measuring and judging
(`assets/logic/performance.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from assets.logic.control_chart import CHARTS, STATISTICS
from assets.logic.metrics import task_metrics
from assets.logic.wording import Unit, capital, number
from assets.reports.plot_style import CHAMPION_COLOUR, COLOURS, NEUTRAL, WIDE, date_axis, image, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
LINES: Final = {
    "ewma": "EWMA",
    "cusum": "CUSUM",
    "cusum_up": "CUSUM, labels above predictions",
    "cusum_down": "CUSUM, labels below predictions",
}


@dataclass(frozen=True, kw_only=True)
class PerformancePage:
    """What is told of one window.

    Attributes:
        question: What the model is asked.
        window: Its row of `performance_windows`.
        days: Its rows of `performance_days`, in order.
        calibration: Predicted, observed and rows over bins of the labels of judged days; empty without any.
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
    if window["loss"] is not None:
        text = f"{deciding.title} {number(window['loss'], deciding.unit)} over {window['judged_days']} judged days"
        text += f", {number(window['baseline_loss'], deciding.unit)} for the constant that is best for the same labels"
        told.append(text + _beside(window["reference_loss"], deciding.unit) + ".")
    if window["estimate_error"] is not None:
        error = window["estimate_error"]
        side = "high" if error >= 0 else "low"
        told.append(f"The estimate without labels was too {side} by {number(abs(error), deciding.unit)} on these days.")
    if window["overdue_limit"] is not None and window["overdue_share"] > window["overdue_limit"]:
        told.append(
            f"Labels are overdue: {window['overdue_share']:.1%} of the newest day that should have them are missing, "
            f"up to {window['overdue_limit']:.1%} is usual."
        )
    return told


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
    found = [
        ("Model version", window["model_version"] or UNKNOWN),
        ("Rows, labels known", f"{window['rows']:,}, {window['labelled']:,}"),
        (f"{capital(loss)} of judged days", _number(window["loss"], unit)),
        ("The same of the best constant", _number(window["baseline_loss"], unit)),
        (f"{capital(loss)} in the test window", _number(window["reference_loss"], unit)),
        (f"Expected {loss} of all rows (estimate)", _number(window["expected_loss"], unit)),
        ("Error of the estimate on judged days", _number(window["estimate_error"], unit)),
        ("ROC AUC of judged days", _number(window["auc"], "score")),
        ("Expected ROC AUC of all rows (estimate)", _number(window["expected_auc"], "score")),
        ("ROC AUC in the test window", _number(window["reference_auc"], "score")),
        (metrics.metrics[metrics.calibration].title, _number(window["calibration_error"], "share")),
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
    if page.days[CHARTS[0]].count():
        found["control_charts"] = control_charts(page)
    if len(page.days):
        found["loss_by_day"] = loss_by_day(page)
    if len(page.calibration):
        found["calibration"] = calibration(page)
    return found


def control_charts(page: PerformancePage) -> "Figure":
    """Every chart over the days it ran over, as a share of its limit; above the line is out of control."""
    days = page.days.filter(pl.col(CHARTS[0]).is_not_null())
    figure = new_figure(WIDE, 6.4)
    panels = new_axes(figure, len(STATISTICS), rows=len(STATISTICS), heights=(1,) * len(STATISTICS))
    for statistic, axes in zip(STATISTICS, panels, strict=True):
        _lines(axes, days, {n: LINES[n.removeprefix(f"{statistic}_")] for n in CHARTS if n.startswith(statistic)})
        axes.set_ylabel(f"{statistic.replace('_', ' ')},\nshare of limit", color=NEUTRAL)
        axes.tick_params(labelbottom=axes is panels[-1])
    date_axis(panels[-1])
    return figure


def _lines(axes: "Axes", days: pl.DataFrame, names: Mapping[str, str]) -> None:
    for (name, title), colour in zip(names.items(), COLOURS, strict=False):
        values = days[name].to_numpy()
        axes.plot(days["day"].to_numpy(), values, color=colour, linewidth=1.6, label=title)
        out = values > 1
        axes.plot(days["day"].to_numpy()[out], values[out], color=colour, marker="o", linestyle="none")
    axes.axhline(1.0, color=NEUTRAL, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set_ylim(bottom=0, top=max(1.2, float(np.nanmax(days.select(list(names)).to_numpy())) * 1.1))
    beside: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "ncols": 3}
    axes.legend(**beside, frameon=False, fontsize=8, labelcolor=NEUTRAL)


def loss_by_day(page: PerformancePage) -> "Figure":
    """Loss of the judged days beside that of the best constant and what was expected; estimates go on to the end."""
    metrics = task_metrics(page.task)
    figure = new_figure(WIDE, 3.6)
    axes = new_axes(figure, 1, y=metrics.deciding.name)[0]
    days = page.days["day"].to_numpy()
    lines: dict[str, tuple[str, dict[str, Any]]] = {
        "loss": ("the model", {"color": COLOURS[0], "linewidth": 1.8}),
        "baseline_loss": (f"best {metrics.words.constant}", {"color": NEUTRAL, "linewidth": 1.4}),
        "expected_loss": ("expected (estimate)", {"color": CHAMPION_COLOUR, "linewidth": 1.4, "linestyle": "--"}),
    }
    for name, (title, style) in lines.items():
        axes.plot(days, page.days[name].cast(pl.Float64).fill_null(float("nan")).to_numpy(), label=title, **style)
    axes.legend(loc="best", frameon=False, fontsize=8.5, labelcolor=NEUTRAL)
    date_axis(axes)
    return figure


def calibration(page: PerformancePage) -> "Figure":
    """What was observed against what was predicted on judged days."""
    predicted, observed = task_metrics(page.task).words.axes
    figure = new_figure(4.4, 4.0)
    axes = new_axes(figure, 1, x=predicted, y=observed)[0]
    x, y = page.calibration["predicted"].to_numpy(), page.calibration["observed"].to_numpy()
    axes.plot(x, y, marker="o", markersize=3.5, color=COLOURS[0], linewidth=1.6)
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    return figure


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str | list) else str(value)
