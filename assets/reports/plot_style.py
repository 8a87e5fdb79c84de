"""How every picture of a report looks: colours, lines and axes that read well on light and on dark ground.

Belongs here: style, and figures as data URIs. Does not belong here: what is drawn (`plots.py`, `plots_by_task.py`).
Nothing uses pyplot: its figures live until somebody closes them.
"""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from assets.logic.evaluation import ModelScores
from assets.logic.wording import capital

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#3b82f6", "#e8772e", "#12a37f", "#d6409f", "#8e6fe6")
"""For challengers; told apart by people with any colour vision, on white and on near-black."""
CHAMPION_COLOUR: Final = "#c99700"
NEUTRAL: Final = "#868e99"
"""Text, axes, baselines: contrast of 3.3 on white and 5.6 on near-black."""
PNG_DPI: Final = 72
WIDE: Final = 7.6
"""Inches of the wide pictures; at MLflow's 100 dots per inch they just fit the metadata column of the Dagster UI."""


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


def styled(models: Sequence[ModelScores]) -> list[tuple[ModelScores, dict[str, Any]]]:
    """Each model with how its line is drawn."""
    colours = colour_of(models)
    dashes = iter([(0, (1, 1.5)), (0, (5, 2)), (0, (3, 1, 1, 1))])
    found = []
    for model in models:
        line = next(dashes, "-.") if model.role == "baseline" else "-"
        # The champion lies as a band below the others: a challenger that equals it would hide it.
        width, zorder = (5.0, 1.5) if model.role == "champion" else (1.6, 2.0)
        style: dict[str, Any] = {"color": colours[model.name], "linestyle": line, "linewidth": width, "zorder": zorder}
        style |= {"label": capital(model.title), "alpha": 0.45 if model.role == "champion" else 1.0}
        found.append((model, style))
    return found


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_axes(
    figure: "Figure", count: int, *, rows: int = 1, heights: Sequence[float] = (1,), x: str = "", y: str = ""
) -> "list[Axes]":
    """Axes side by side, or one below the other if `rows` is above 1."""
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


def legend(axes: "Axes", place: Literal["best", "upper left"]) -> None:
    """The names of the lines, if there are any."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, frameon=False, fontsize=8.5, labelcolor=NEUTRAL)


def date_axis(axes: "Axes") -> None:
    """Days along x."""
    from matplotlib.dates import AutoDateLocator, DateFormatter

    axes.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=10))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%d %b"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)
