"""What the report of each task shows and says: its pictures and the sentences around them.

Belongs here: the declaration of a page by task. Does not belong here: drawing (`plots.py`, `plots_by_task.py`), and
what all pages have in common (`evaluation.html.jinja`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from assets.logic.evaluation import Evaluation
from assets.reports import plots, plots_by_task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One picture of a page.

    Attributes:
        alt: For those who cannot see it.
        note: Below the picture: how to read it.
        kind: Pixels for pictures of thousands of dots, which would be megabytes as vectors.
    """

    name: str
    draw: "Callable[[Evaluation], Figure]"
    alt: str
    note: str
    kind: Literal["svg", "png"] = "svg"


@dataclass(frozen=True, kw_only=True)
class TaskPage:
    """The page of one task.

    Attributes:
        deciding: Why the deciding metric decides, after its name and "decides:".
        heading: Above the drawings.
        drawings: Side by side.
        by_day: What stands below the metric of each day.
        slices: What a slice is compared with, and what a negative gain means.
    """

    deciding: str
    heading: str
    drawings: tuple[Drawing, ...]
    by_day: str
    slices: str


def page_of(evaluation: Evaluation) -> TaskPage:
    """The page of an evaluation's task.

    Raises:
        ValueError: If the task has none, naming those that have one.
    """
    if evaluation.header.task not in PAGES:
        raise ValueError(f"task {evaluation.header.task!r} has no page; known are {sorted(PAGES)}")
    return PAGES[evaluation.header.task]


def is_measured(evaluation: Evaluation) -> bool:
    """Whether there is something to draw."""
    return any(len(model.calibration) for model in evaluation.models)


def key_figures(evaluation: Evaluation) -> dict[str, "Figure"]:
    """The pictures that say most by file name: few enough to be shown beside an asset."""
    figures = {}
    if is_measured(evaluation):
        figures["calibration.png"] = plots.calibration(evaluation)
        figures["by_day.png"] = plots.loss_by_day(evaluation)
    if evaluation.explanation is not None:
        figures["contributions.png"] = plots.contributions(
            evaluation.explanation, evaluation.metrics.words.contribution
        )
    return figures


_RATE_SLICES: Final = "a constant that knows the slice's own rate. A negative gain means a plain rate would do better."
_POINTS: Final = Drawing(
    name="dots",
    draw=plots_by_task.dots,
    alt="Predicted against observed, one dot per row",
    note="One dot per row, evenly many of every time. On the dotted diagonal a prediction is exactly right.",
    kind="png",
)
_COVERAGE: Final = Drawing(
    name="coverage",
    draw=plots_by_task.coverage,
    alt="Share of labels inside their interval over bins of the prediction, one line per model",
    note="The dotted line is what the intervals promise. Below it they are too narrow, above it wider than needed.",
)
_QUANTITY_CALIBRATION: Final = Drawing(
    name="calibration",
    draw=plots.calibration,
    alt="Mean observed against mean predicted, one line per model",
    note="Each point is one fifteenth of the rows. Below the dotted diagonal the predictions are too high.",
)


def _quantity(*, deciding: str, slices: str) -> TaskPage:
    return TaskPage(
        deciding=deciding,
        heading="How far off is it, and do the intervals hold what they promise?",
        drawings=(_POINTS, _QUANTITY_CALIBRATION, _COVERAGE),
        by_day="Below, the mean of what was observed.",
        slices=slices,
    )


PAGES: Final[Mapping[str, TaskPage]] = {
    "binary": TaskPage(
        deciding="it is low when the probabilities are both sharp and honest.",
        heading="Can the probabilities be taken at their word, and do they find the right rows?",
        drawings=(
            Drawing(
                name="calibration",
                draw=plots.calibration,
                alt="Observed rate against predicted probability, one line per model",
                note="On the dotted diagonal, 30% means that 30 of 100 come true.",
            ),
            Drawing(
                name="roc",
                draw=lambda evaluation: plots_by_task.curve(evaluation, "roc"),
                alt="roc curves, one line per model",
                note="The nearer to the upper left corner, the better rows are put in order.",
            ),
            Drawing(
                name="precision_recall",
                draw=lambda evaluation: plots_by_task.curve(evaluation, "precision_recall"),
                alt="precision recall curves, one line per model",
                note="How many alarms are right when a given share is to be found.",
            ),
        ),
        by_day="Below, the rate that was observed.",
        slices=_RATE_SLICES,
    ),
    "multiclass": TaskPage(
        deciding="it is low when the probabilities of all classes are both sharp and honest.",
        heading="Can the probabilities be taken at their word, and which classes are taken for which?",
        drawings=(
            Drawing(
                name="calibration",
                draw=plots.calibration,
                alt="How often the most likely class is right against how likely it was called, one line per model",
                note="On the dotted diagonal, a class called 70% likely is right 70 times of 100.",
            ),
            Drawing(
                name="confusion",
                draw=plots_by_task.confusion,
                alt="Confusion matrix: share of each observed class by the class that was predicted",
                note="Each row is one class and adds up to 100%; off the diagonal it was taken for something else.",
            ),
        ),
        by_day="Below, how often the most likely class of the best model was right.",
        slices="the slice's own class shares. A negative gain means that these would do better.",
    ),
    "regression": _quantity(
        deciding="it is how far predictions are from what came, in the target's own unit.",
        slices="the slice's own median. A negative gain means a plain constant would do better.",
    ),
    "count": _quantity(
        deciding="it is low when what is expected is near what is counted, measured by how much counts of that size "
        "scatter.",
        slices="the slice's own mean. A negative gain means a plain constant would do better.",
    ),
}
