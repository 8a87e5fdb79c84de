"""The pictures of an evaluation, as Matplotlib figures that read well on light and on dark ground.

Belongs here: drawing. Does not belong here: measuring (`assets/logic`), and pages (`evaluation.py`).
Nothing uses pyplot: its figures live until somebody closes them.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from assets.logic.evaluation import Evaluation, Explanation, ModelScores
from assets.logic.metrics import Floats, Labels, calibration_curve
from assets.logic.wording import capital

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#3b82f6", "#e8772e", "#12a37f", "#d6409f", "#8e6fe6")
"""For challengers; told apart by people with any colour vision, on white and on near-black."""
CHAMPION_COLOUR: Final = "#c99700"
NEUTRAL: Final = "#868e99"
"""Text, axes, baselines: contrast of 3.3 on white and 5.6 on near-black."""
SHOWN_FEATURES: Final = 15
SHOWN_ROWS: Final = 2_000
"""Dots per feature in the summary of contributions; more only cover each other."""
PNG_DPI: Final = 72
WIDE: Final = 7.6
"""Inches of the wide pictures; at MLflow's 100 dots per inch they just fit the metadata column of the Dagster UI."""
CURVE_LABELS: Final = {
    "roc": ("False alarms among the negatives", "Found among the positives"),
    "precision_recall": ("Found among the positives (recall)", "Right among the alarms (precision)"),
}


def calibration(evaluation: Evaluation) -> "Figure":
    """Observed against predicted rate; on the diagonal a probability means what it says."""
    return _calibration([(m.calibration, style) for m, style in _styled(evaluation.models) if len(m.calibration)])


def calibration_figure(label: Labels, predictions: Mapping[str, Floats]) -> "Figure":
    """The same for predictions that are not part of an evaluation.

    Args:
        label: 0 or 1, shape (n,).
        predictions: Probability of label 1, shape (n,) each, by model.
    """
    shown = zip(predictions.items(), COLOURS, strict=False)
    return _calibration(
        [(calibration_curve(label, p), {"color": c, "linewidth": 1.6, "label": _spoken(n)}) for (n, p), c in shown]
    )


def learning_curves_figure(curves: Mapping[str, Sequence[float]]) -> "Figure":
    """Learning curves over steps, one value per iteration or epoch."""
    figure = _figure(6.4, 4.0)
    axes = _axes(figure, 1, x="Iteration")[0]
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(range(len(values)), np.asarray(values), color=colour, linewidth=1.6, label=_spoken(name))
    _legend(axes, "best")
    return figure


def curve(evaluation: Evaluation, name: str) -> "Figure":
    """One curve of the task for every model, such as `roc`; colours as everywhere, so without a legend."""
    x, y = CURVE_LABELS.get(name, ("x", _spoken(name)))
    figure = _figure(4.4, 4.2)
    axes = _axes(figure, 1, x=x, y=y)[0]
    for model, style in _styled(evaluation.models):
        if name in model.curves:
            axes.plot(model.curves[name]["x"].to_numpy(), model.curves[name]["y"].to_numpy(), **style)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    return figure


def loss_by_day(evaluation: Evaluation, metric: str) -> "Figure":
    """The deciding metric of every model on each test day, above the observed rate."""
    figure = _figure(WIDE, 4.4)
    upper, lower = _axes(figure, 2, rows=2, heights=(3, 1))
    for model, style in _styled(evaluation.models):
        days = evaluation.by_day.filter(pl.col("model") == model.name)
        upper.plot(days["day"].to_numpy(), days[metric].to_numpy(), **style)
    first = evaluation.by_day.unique("day", maintain_order=True)
    lower.bar(first["day"].to_numpy(), first["observed"].to_numpy(), color=NEUTRAL, alpha=0.55, width=0.75)
    upper.set_ylabel(_spoken(metric), color=NEUTRAL)
    lower.set_ylabel("observed", color=NEUTRAL)
    upper.tick_params(labelbottom=False)
    _date_axis(lower)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=8.5, labelcolor=NEUTRAL)
    return figure


def intervals(evaluation: Evaluation, metric: str) -> "Figure":
    """The metric of every model with its interval, one below the other."""
    shown = [m for m in evaluation.models if m.metrics[metric].value is not None]
    figure = _figure(WIDE, 0.7 + 0.42 * max(len(shown), 1))
    axes = _axes(figure, 1, x=f"{_spoken(metric)} with 95% interval, by days (lower is better)")[0]
    for place, (model, style) in enumerate(_styled(shown)):
        value, interval = model.metrics[metric].value, model.intervals.get(metric)
        if interval is not None and interval.low is not None and interval.high is not None:
            axes.plot([interval.low, interval.high], [place, place], color=style["color"], linewidth=2.5, alpha=0.55)
        axes.plot([float(value or 0.0)], [place], marker="o", markersize=7, color=style["color"], linestyle="none")
    axes.set_yticks(range(len(shown)), [capital(m.title) for m in shown], color=NEUTRAL)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    return figure


def contributions(explanation: Explanation) -> "Figure":
    """Beeswarm of the strongest features: right raises the prediction, colour tells the feature's own value."""
    strength = np.abs(explanation.contributions).mean(axis=0)
    chosen = np.argsort(-strength)[:SHOWN_FEATURES]
    figure = _figure(WIDE, 0.9 + 0.36 * len(chosen))
    axes = _axes(figure, 1, x="Contribution to the prediction (log odds)")[0]
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


def image(figure: "Figure", kind: Literal["svg", "png"], dpi: int = PNG_DPI) -> str:
    """The figure as a data URI with a transparent ground; equal figures give equal text."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "throughline"}):
        metadata = {"Date": None} if kind == "svg" else {}
        figure.savefig(buffer, format=kind, transparent=True, dpi=dpi, metadata=metadata)
    media = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{media};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def colour_of(models: Sequence[ModelScores]) -> dict[str, str]:
    """The colour of each model, the same in every picture and in the table."""
    challengers = [m.name for m in models if m.role == "challenger"]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(sorted(challengers))}
    return {m.name: colours.get(m.name, CHAMPION_COLOUR if m.role == "champion" else NEUTRAL) for m in models}


def _calibration(curves: Sequence[tuple[pl.DataFrame, dict[str, Any]]]) -> "Figure":
    figure = _figure(4.4, 4.2)
    axes = _axes(figure, 1, x="Predicted probability", y="Observed rate")[0]
    top = 0.05
    for curve, style in curves:
        predicted, observed = curve["predicted"].to_numpy(), curve["observed"].to_numpy()
        axes.plot(predicted, observed, marker="o", markersize=3.5, **style)
        top = max(top, float(predicted.max()), float(observed.max()))
    axes.plot([0, top * 1.05], [0, top * 1.05], color=NEUTRAL, linewidth=0.8, linestyle=(0, (2, 3)))
    _legend(axes, "upper left")
    return figure


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _styled(models: Sequence[ModelScores]) -> list[tuple[ModelScores, dict[str, Any]]]:
    colours = colour_of(models)
    dashes = iter([(0, (1, 1.5)), (0, (5, 2)), (0, (3, 1, 1, 1))])
    styled = []
    for model in models:
        line = next(dashes, "-.") if model.role == "baseline" else "-"
        # The champion lies as a band below the others: a challenger that equals it would hide it.
        width, zorder = (5.0, 1.5) if model.role == "champion" else (1.6, 2.0)
        style: dict[str, Any] = {"color": colours[model.name], "linestyle": line, "linewidth": width, "zorder": zorder}
        style |= {"label": capital(model.title), "alpha": 0.45 if model.role == "champion" else 1.0}
        styled.append((model, style))
    return styled


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _axes(
    figure: "Figure", count: int, *, rows: int = 1, heights: Sequence[float] = (1,), x: str = "", y: str = ""
) -> "list[Axes]":
    grid = figure.subplots(
        rows, 1 if rows > 1 else count, squeeze=False, sharex=rows > 1, gridspec_kw={"height_ratios": heights}
    )
    for axes in grid.flat:
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(NEUTRAL)
        axes.tick_params(colors=NEUTRAL, labelsize=8.5)
        axes.grid(color=NEUTRAL, alpha=0.18, linewidth=0.7)
        axes.set_xlabel(x, color=NEUTRAL)
        axes.set_ylabel(y, color=NEUTRAL)
    return list(grid.flat)


def _legend(axes: "Axes", place: Literal["best", "upper left"]) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, frameon=False, fontsize=8.5, labelcolor=NEUTRAL)


def _date_axis(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter

    axes.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=10))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%d %b"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)


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
