"""What a table looks like: a summary of every column, histograms, and Evidently's data summary as a page.

Belongs here: describing one frame. Does not belong here: judging it (`assets/checks`), and where the pages are kept.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from polars import selectors

from assets.contracts import Column
from assets.reports import markdown
from assets.reports.data_summary import data_summary, is_instant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLED_ROWS: Final = 20_000
"""Evidently reads at most this many rows (4.4 s for 100,000 rows x 20 columns); everything else reads all of them."""
SEED: Final = 20130901
BINS: Final = 30
TOP: Final = 3
"""How many of the most frequent categories the table names."""
BARS: Final = 10
"""How many of them the histogram grid shows."""
GRID_COLUMNS: Final = 4
PANEL_WIDTH: Final = 3.0
PANEL_HEIGHT: Final = 2.1
"""Inches of a panel of the grid, with what is written around it. A layout that fits itself to the labels takes as long
as drawing the rest, 2 s for 20 columns."""
COLOUR: Final = "#4c72b0"

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """A table described.

    Attributes:
        rows: How many rows were described.
        sampled_rows: How many of them Evidently saw.
        markdown: One line per column: type, unit, missing, distinct, and range or most frequent values.
        histograms: A grid of distributions, PNG.
        html: Evidently's data summary, a page that needs nothing from outside (about 4 MB), or a short page that says
            why there is none.
    """

    rows: int
    sampled_rows: int
    markdown: str
    histograms: bytes
    html: str


def explore(frame: pl.DataFrame, columns: Mapping[str, Column], of: int | None = None) -> Exploration:
    """Describe a table. The same table gives the same Markdown and the same picture.

    Columns without a single value, and tables without rows, are described as such and not shown to Evidently, which
    refuses them. NaN and infinity count as missing.

    Args:
        frame: A cleaned table, shape (n, at least `columns`); n may be 0.
        columns: The columns to describe, with their units and meaning.
        of: Rows of the whole table, if `frame` holds only some of them.
    """
    frame = frame.select(list(columns)).with_columns(_finite(selectors.float()))
    sample = frame.sample(SAMPLED_ROWS, seed=SEED) if len(frame) > SAMPLED_ROWS else frame
    return Exploration(
        rows=len(frame),
        sampled_rows=len(sample),
        markdown=_markdown(frame, columns, of),
        histograms=_histograms(frame, columns),
        html=data_summary(sample),
    )


def _finite(numbers: pl.Expr) -> pl.Expr:
    return pl.when(numbers.is_finite()).then(numbers)


def _markdown(frame: pl.DataFrame, columns: Mapping[str, Column], of: int | None) -> str:
    head = ["column", "type", "unit", "missing %", "distinct", "min / median / max, or most frequent", "meaning"]
    described = markdown.table(head, [_described(frame[name], column) for name, column in columns.items()])
    rows = f"{len(frame):,} rows" if of in (None, len(frame)) else f"{len(frame):,} of {of:,} rows"
    return f"{rows}, {len(columns)} columns\n\n{described}"


def _described(values: pl.Series, column: Column) -> list[str]:
    missing = "" if values.is_empty() else f"{100 * values.null_count() / len(values):.2f}"
    present = values.drop_nulls()
    summary = "no values" if present.is_empty() else _summary(present)
    about = [values.name, str(values.dtype.base_type()), column.unit or "", missing, f"{present.n_unique():,}"]
    return [*about, summary, column.description]


def _summary(present: pl.Series) -> str:
    if is_instant(present.dtype):
        shown = present.cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M").sort()
        # As text the middle one is itself a value of the column, and the order is still that of time.
        return " / ".join(shown.gather([0, len(shown) // 2, -1]))
    if present.dtype.is_numeric():
        numbers = present.cast(pl.Float64()).to_numpy()
        return " / ".join(f"{number:.6g}" for number in (numbers.min(), np.median(numbers), numbers.max()))
    top = _frequencies(present, TOP)
    return ", ".join(f"{value} ({100 * count / len(present):.1f} %)" for value, count in top)


def _frequencies(present: pl.Series, most: int) -> list[tuple[str, int]]:
    """The most frequent values with their counts; ties in the order of the values, so that runs agree."""
    counts = present.cast(pl.String()).alias("value").value_counts(name="count")
    return list(counts.sort(["count", "value"], descending=[True, False]).head(most).iter_rows())


def _histograms(frame: pl.DataFrame, columns: Mapping[str, Column]) -> bytes:
    """One small panel per column, PNG. Without pyplot: that keeps every figure alive in a global list."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = max(1, -(-len(columns) // GRID_COLUMNS))
    height = PANEL_HEIGHT * rows
    figure = Figure(figsize=(PANEL_WIDTH * GRID_COLUMNS, height), dpi=70)
    edges = {"left": 0.07, "right": 0.985, "bottom": 0.45 / height, "top": 1 - 0.25 / height}
    figure.subplots_adjust(**edges, wspace=0.38, hspace=0.6)
    panels = list(figure.subplots(rows, GRID_COLUMNS, squeeze=False).flat)
    for panel, (name, column) in zip(panels, columns.items(), strict=False):
        panel.set_title(f"{name} [{column.unit}]" if column.unit else name, fontsize=8)
        panel.tick_params(labelsize=6)
        # Labels take most of the time: with twice as many, 112 columns took 20 s instead of 10.
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.yaxis.set_major_locator(MaxNLocator(2))
        _draw(panel, frame[name].drop_nulls())
    for panel in panels[len(columns) :]:
        panel.set_axis_off()
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _draw(panel: "Axes", present: pl.Series) -> None:
    if present.is_empty():
        panel.text(0.5, 0.5, "no values", ha="center", va="center", transform=panel.transAxes, fontsize=8)
    elif is_instant(present.dtype):
        _draw_instants(panel, present)
        panel.tick_params(axis="x", labelrotation=30)
    elif present.dtype.is_numeric():
        numbers = present.cast(pl.Float64()).to_numpy()
        heights, edges = np.histogram(numbers, bins=_bins(numbers, are_whole=present.dtype.is_integer()))
        panel.stairs(heights, edges, fill=True, color=COLOUR)
    else:
        names, counts = zip(*reversed(_frequencies(present, BARS)), strict=True)
        places = range(len(names))
        panel.barh(places, counts, color=COLOUR)
        panel.set_yticks(places, [name[:14] for name in names])


def _draw_instants(panel: "Axes", present: pl.Series) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    panel.hist(present.cast(pl.Datetime("us")).to_numpy(), bins=BINS, color=COLOUR)
    locator = AutoDateLocator(minticks=2, maxticks=5)  # type: ignore[no-untyped-call]  # Matplotlib types these two no further
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _bins(numbers: FloatArray, *, are_whole: bool) -> int | list[float]:
    """How to cut numbers into bars: one for each whole number where these are few, or some bars would be empty."""
    lowest, highest = numbers.min(), numbers.max()
    few_whole = are_whole and highest - lowest < BINS
    return list(np.arange(lowest - 0.5, highest + 1.0)) if few_whole else BINS
