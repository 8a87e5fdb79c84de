"""The pictures that an evaluation of any task has, as Matplotlib figures.

Belongs here: drawing what every task has. Does not belong here: pictures of one task (`plots_by_task.py`), how they
look (`plot_style.py`), measuring (`assets/logic`), and pages (`evaluation.py`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from assets.logic.evaluation import Evaluation, Explanation
from assets.logic.metrics import Floats, Labels, TaskMetrics, task_metrics
from assets.logic.wording import capital
from assets.reports.plot_style import COLOURS, NEUTRAL, WIDE, date_axis, legend, new_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_FEATURES: Final = 15
SHOWN_ROWS: Final = 2_000
"""Dots per feature in the summary of contributions; more only cover each other."""


def calibration(evaluation: Evaluation) -> "Figure":
    """What was observed against what was predicted; on the diagonal a prediction means what it says."""
    curves = [(m.calibration, style) for m, style in styled(evaluation.models) if len(m.calibration)]
    return _calibration(evaluation.metrics, curves)


def calibration_figure(task: str, label: Labels, predictions: Mapping[str, Floats]) -> "Figure":
    """The same for predictions that are not part of an evaluation.

    Args:
        task: Kind of task.
        label: As in `score`, shape (n,).
        predictions: As in `score`, shape (n,) or (n, width) each, by model.
    """
    metrics, shown = task_metrics(task), zip(predictions.items(), COLOURS, strict=False)
    curves = [
        (metrics.calibration_curve(label, p), {"color": c, "linewidth": 1.6, "label": _spoken(n)})
        for (n, p), c in shown
    ]
    return _calibration(metrics, curves)


def learning_curves_figure(curves: Mapping[str, Sequence[float]]) -> "Figure":
    """Learning curves over steps, one value per iteration or epoch."""
    figure = new_figure(6.4, 4.0)
    axes = new_axes(figure, 1, x="Iteration")[0]
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(range(len(values)), np.asarray(values), color=colour, linewidth=1.6, label=_spoken(name))
    legend(axes, "best")
    return figure


def loss_by_day(evaluation: Evaluation) -> "Figure":
    """The deciding metric of every model on each test day, above what was observed."""
    metrics = evaluation.metrics
    figure = new_figure(WIDE, 4.4)
    upper, lower = new_axes(figure, 2, rows=2, heights=(3, 1))
    measured = []
    for model, style in styled(evaluation.models):
        days = evaluation.by_day.filter(pl.col("model") == model.name)
        upper.plot(days["day"].to_numpy(), days[metrics.loss].to_numpy(), **style)
        measured += [days] if len(days) else []
    # Labels are the same for all models; where a task shows hits instead, those of the best model.
    lower.bar(measured[0]["day"].to_numpy(), measured[0]["observed"].to_numpy(), color=NEUTRAL, alpha=0.55, width=0.75)
    upper.set_ylabel(metrics.deciding.name, color=NEUTRAL)
    lower.set_ylabel(metrics.words.observed.lower(), color=NEUTRAL)
    upper.tick_params(labelbottom=False)
    date_axis(lower)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=8.5, labelcolor=NEUTRAL)
    return figure


def intervals(evaluation: Evaluation) -> "Figure":
    """The deciding metric of every model with its interval, one below the other."""
    name = evaluation.metrics.loss
    shown = [m for m in evaluation.models if m.metrics[name].value is not None]
    figure = new_figure(WIDE, 0.7 + 0.42 * max(len(shown), 1))
    spoken = evaluation.metrics.deciding.name
    axes = new_axes(figure, 1, x=f"{spoken} with 95% interval, by days (lower is better)")[0]
    for place, (model, style) in enumerate(styled(shown)):
        value, interval = model.metrics[name].value, model.intervals.get(name)
        if interval is not None and interval.low is not None and interval.high is not None:
            axes.plot([interval.low, interval.high], [place, place], color=style["color"], linewidth=2.5, alpha=0.55)
        axes.plot([float(value or 0.0)], [place], marker="o", markersize=7, color=style["color"], linestyle="none")
    axes.set_yticks(range(len(shown)), [capital(m.title) for m in shown], color=NEUTRAL)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    return figure


def contributions(explanation: Explanation, unit: str) -> "Figure":
    """Beeswarm of the strongest features: right raises the prediction, colour tells the feature's own value."""
    strength = np.abs(explanation.contributions).mean(axis=0)
    chosen = np.argsort(-strength)[:SHOWN_FEATURES]
    figure = new_figure(WIDE, 0.9 + 0.36 * len(chosen))
    axes = new_axes(figure, 1, x=f"Contribution to the prediction ({unit})")[0]
    step = max(1, len(explanation.contributions) // SHOWN_ROWS)
    dots: Any = None
    for place, index in enumerate(chosen):
        values = explanation.contributions[::step, index]
        colour = _ranked(explanation.features.to_series(int(index)).gather_every(step))
        common: dict[str, Any] = {"s": 7, "linewidths": 0, "alpha": 0.75}
        height = place + _swarm(values)
        if colour is None:
            axes.scatter(values, height, color=NEUTRAL, **common)
        else:
            dots = axes.scatter(values, height, c=colour, cmap="coolwarm", vmin=0, vmax=1, **common)
    axes.axvline(0, color=NEUTRAL, linewidth=0.8)
    axes.set_yticks(range(len(chosen)), [explanation.features.columns[i] for i in chosen], color=NEUTRAL)
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    if dots is not None:
        bar = figure.colorbar(dots, ax=axes, ticks=[0, 1], fraction=0.025, pad=0.02, aspect=40, shrink=0.6)
        bar.ax.set_yticklabels(["low", "high"], color=NEUTRAL)
        bar.outline.set_visible(False)
    return figure


def _calibration(metrics: TaskMetrics, curves: Sequence[tuple[pl.DataFrame, dict[str, Any]]]) -> "Figure":
    predicted, observed = metrics.words.axes
    figure = new_figure(4.4, 4.2)
    axes = new_axes(figure, 1, x=predicted, y=observed)[0]
    ends = [0.0, 0.05] if metrics.seen_unit == "share" else []
    for curve, style in curves:
        x, y = curve["predicted"].to_numpy(), curve["observed"].to_numpy()
        axes.plot(x, y, marker="o", markersize=3.5, **style)
        ends += [float(v) for v in (x.min(), x.max(), y.min(), y.max())]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    high += 0.05 * (high - low)
    axes.plot([low, high], [low, high], color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    legend(axes, "upper left")
    return figure


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _ranked(values: pl.Series) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
    """Rank of each value, 0 to 1, for its colour; None for categories, which have no order."""
    if not values.dtype.is_numeric():
        return None
    ranks = values.rank("average").fill_null(strategy="mean").to_numpy()
    spread = np.ptp(ranks) if len(ranks) else 0.0
    return np.full(len(ranks), 0.5) if not spread or np.isnan(spread) else (ranks - ranks.min()) / spread


def _swarm(values: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Vertical places of dots, spread where many lie together; no chance involved."""
    width = np.ptp(values) or 1.0
    bins = np.floor((values - values.min()) / width * 60).astype(int)
    offsets = np.zeros(len(values))
    fullest = np.bincount(bins).max()
    for number in np.unique(bins):
        members = np.flatnonzero(bins == number)
        turn = np.arange(len(members))
        offsets[members] = np.where(turn % 2 == 0, turn, -turn - 1) / max(fullest, 1)
    return offsets * 0.4
