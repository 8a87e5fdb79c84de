"""Pictures of the performance of the live model: control charts, loss day by day, calibration.

Belongs here: drawing. Does not belong here: which pictures a page has, and its words (`performance.py`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from assets.logic.control_chart import CHARTS_OF
from assets.logic.metrics import task_metrics
from assets.reports.plot_style import CHAMPION_COLOUR, COLOURS, NEUTRAL, WIDE, date_axis, new_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: Final = {
    "ewma": "EWMA",
    "cusum": "CUSUM",
    "cusum_up": "CUSUM, labels above predictions",
    "cusum_down": "CUSUM, labels below predictions",
}


def charted_statistics(days: pl.DataFrame) -> list[str]:
    """Statistics whose charts ran over some of the days."""
    return [statistic for statistic, charts in CHARTS_OF.items() if days[charts[0]].count()]


def control_charts(days: pl.DataFrame) -> "Figure":
    """Every chart over the days it ran over, as a share of its limit; above the line is out of control.

    Args:
        days: Rows of `performance_days`, some of them with charts.
    """
    charted = charted_statistics(days)
    days = days.filter(pl.any_horizontal(pl.col(CHARTS_OF[statistic][0]).is_not_null() for statistic in charted))
    figure = new_figure(WIDE, 1.0 + 1.8 * len(charted))
    panels = new_axes(figure, len(charted), rows=len(charted), heights=(1,) * len(charted))
    for statistic, axes in zip(charted, panels, strict=True):
        _lines(axes, days, {name: LINES[name.removeprefix(f"{statistic}_")] for name in CHARTS_OF[statistic]})
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


def loss_by_day(task: str, rows: pl.DataFrame) -> "Figure":
    """Loss of the judged days beside that of the best constant and what was expected; estimates go on to the end.

    Args:
        task: Kind of task.
        rows: Of `performance_days`, in order.
    """
    metrics = task_metrics(task)
    figure = new_figure(WIDE, 3.6)
    axes = new_axes(figure, 1, y=metrics.deciding.name)[0]
    days = rows["day"].to_numpy()
    lines: dict[str, tuple[str, dict[str, Any]]] = {
        "loss": ("the model", {"color": COLOURS[0], "linewidth": 1.8}),
        "baseline_loss": (f"best {metrics.words.constant}", {"color": NEUTRAL, "linewidth": 1.4}),
        "expected_loss": ("expected (estimate)", {"color": CHAMPION_COLOUR, "linewidth": 1.4, "linestyle": "--"}),
    }
    for name, (title, style) in lines.items():
        axes.plot(days, rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy(), label=title, **style)
    axes.legend(loc="best", frameon=False, fontsize=8.5, labelcolor=NEUTRAL)
    date_axis(axes)
    return figure


def calibration(task: str, curve: pl.DataFrame) -> "Figure":
    """What was observed against what was predicted on judged days.

    Args:
        task: Kind of task.
        curve: Columns predicted and observed, a row per bin.
    """
    predicted, observed = task_metrics(task).words.axes
    figure = new_figure(4.4, 4.0)
    axes = new_axes(figure, 1, x=predicted, y=observed)[0]
    x, y = curve["predicted"].to_numpy(), curve["observed"].to_numpy()
    axes.plot(x, y, marker="o", markersize=3.5, color=COLOURS[0], linewidth=1.6)
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    return figure
