"""Pictures that only some tasks have: curves of ranks, classes mistaken for each other, points and intervals.

Belongs here: drawing them. Does not belong here: which task has which (`task_pages.py`), and how they look
(`plot_style.py`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from assets.logic.evaluation import Evaluation, ModelScores
from assets.policies import INTERVAL
from assets.reports.plot_style import NEUTRAL, colour_of, legend, new_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE_LABELS: Final = {
    "roc": ("False alarms among the negatives", "Found among the positives"),
    "precision_recall": ("Found among the positives (recall)", "Right among the alarms (precision)"),
}
SHOWN_CLASSES: Final = 12
"""Rows and columns of a confusion matrix that can still be read; the other classes are one row and one column."""
NAME_LENGTH: Final = 16
SHADES: Final = ("#eaf1fe", "#1d4ed8")


def curve(evaluation: Evaluation, name: str) -> "Figure":
    """One curve for every model, such as `roc`; colours as everywhere, so without a legend."""
    x, y = CURVE_LABELS[name]
    figure = new_figure(4.4, 4.2)
    axes = new_axes(figure, 1, x=x, y=y)[0]
    for model, style in styled(evaluation.models):
        if name in model.curves:
            axes.plot(model.curves[name]["x"].to_numpy(), model.curves[name]["y"].to_numpy(), **style)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return figure


def confusion(evaluation: Evaluation) -> "Figure":
    """How often each class is taken for which, by the model the decision is about; each row adds up to 100 %."""
    from matplotlib.colors import LinearSegmentedColormap

    model = leading(evaluation)
    names, counts = _confusion_counts(model.curves["confusion"], evaluation.header.classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.42 * max(len(names), 4)
    figure = new_figure(max(side, 4.4), max(side - 0.2, 4.2))
    axes = new_axes(figure, 1, x=f"Predicted by {model.title}", y="Observed")[0]
    # Not see-through: the numbers have to be read on light and on dark ground.
    shades = LinearSegmentedColormap.from_list("shades", SHADES)
    axes.imshow(shares, cmap=shades, vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for i, j in np.ndindex(*shares.shape):
        if shares[i, j] >= 0.005:
            ink = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{shares[i, j]:.0%}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    return figure


def dots(evaluation: Evaluation) -> "Figure":
    """Predicted against observed, some rows of the model the decision is about."""
    model = leading(evaluation)
    rows = model.curves["dots"]
    figure = new_figure(4.4, 4.2)
    axes = new_axes(figure, 1, x=f"Predicted by {model.title}", y="Observed")[0]
    x, y = rows["predicted"].to_numpy(), rows["observed"].to_numpy()
    axes.scatter(x, y, s=8, linewidths=0, alpha=0.35, color=colour_of(evaluation.models)[model.name])
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    return figure


def coverage(evaluation: Evaluation) -> "Figure":
    """Share of labels inside their interval, over bins of the prediction, one line per model."""
    figure = new_figure(4.4, 4.2)
    axes = new_axes(figure, 1, x="Mean prediction", y=f"Inside the {INTERVAL:.0%} interval")[0]
    for model, style in styled(evaluation.models):
        if "coverage" in model.curves:
            bins = model.curves["coverage"]
            axes.plot(bins["predicted"].to_numpy(), bins["observed"].to_numpy(), marker="o", markersize=3.5, **style)
    axes.axhline(INTERVAL, color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set_ylim(min(axes.get_ylim()[0], 0.5), 1.01)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    legend(axes, "best")
    return figure


def leading(evaluation: Evaluation) -> ModelScores:
    """The model the decision is about, else the first that could be measured.

    Raises:
        ValueError: If none could.
    """
    chosen = [m for m in evaluation.models if m.curves]
    if not chosen:
        raise ValueError(f"no model of the evaluation of {evaluation.header.use_case!r} could be measured")
    return next((m for m in chosen if m.name == evaluation.decision.model), chosen[0])


def _confusion_counts(pairs: pl.DataFrame, classes: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Names, and rows by observed and predicted class; of many classes the most frequent, the others as one.

    A class that was predicted and never observed is among the others, whose row may then be empty.
    """
    ranked = pairs.group_by("observed").agg(pl.col("rows").sum()).sort("rows", "observed", descending=[True, False])
    shown = ranked["observed"].to_list()[:SHOWN_CLASSES]
    shown = sorted(shown)
    others = len(shown)
    place = {code: i for i, code in enumerate(shown)}
    counts = np.zeros((others + 1, others + 1))
    for observed, predicted, rows in pairs.select("observed", "predicted", "rows").iter_rows():
        counts[place.get(observed, others), place.get(predicted, others)] += rows
    names = [_short(classes[c] if c < len(classes) else f"class {c}") for c in shown]
    if counts[others].sum() == 0 and counts[:, others].sum() == 0:
        return names, counts[:others, :others]
    return [*names, "all others"], counts


def _short(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
