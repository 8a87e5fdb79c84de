"""What a reader of the pictures relies on: nothing is cut off, and no model hides another."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from assets.logic.evaluation import Evaluation
from assets.policies import OTHER
from assets.reports import plots, plots_by_task
from assets.reports.task_pages import PAGES, key_figures, page_of
from tests.support.evaluations import champion_like, evaluation_of, made_up_evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN: dict[str, Callable[[Evaluation], "Figure"]] = {
    "calibration": plots.calibration,
    "roc": lambda e: plots_by_task.curve(e, "roc"),
    "by_day": plots.loss_by_day,
    "intervals": plots.intervals,
}


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Six models, as many as a report of this project shows, with names as long as theirs."""
    made = made_up_evaluation(champion=champion_like())
    challenger, champion, baseline = made.models
    others = [replace(challenger, title=title) for title in ("logistic regression", "neural network")]
    grouped = replace(baseline, title="rate by carrier and scheduled hour")
    return replace(made, models=(challenger, *others, champion, baseline, grouped))


def is_whole(figure: "Figure") -> bool:
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return bool(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height)


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_off(name: str, evaluation: Evaluation) -> None:
    assert is_whole(DRAWN[name](evaluation))


@pytest.mark.parametrize("task", PAGES)
def test_nothing_is_cut_off_in_the_pictures_of_any_task(task: str) -> None:
    made = evaluation_of(task)
    assert [drawing.name for drawing in page_of(made).drawings if not is_whole(drawing.draw(made))] == []
    assert [name for name, figure in key_figures(made).items() if not is_whole(figure)] == []


def test_a_confusion_matrix_names_its_classes_and_its_rows_add_up() -> None:
    axes = plots_by_task.confusion(evaluation_of("multiclass")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["bike", "car", "truck with a lo…", OTHER]
    assert np.asarray(axes.images[0].get_array()).sum(axis=1).tolist() == pytest.approx([1.0] * 4)


def test_of_many_classes_the_most_frequent_are_drawn_and_all_rows_are_counted() -> None:
    made = evaluation_of("multiclass")
    pairs = pl.DataFrame({"observed": range(40), "predicted": range(40), "rows": range(1, 41)})
    model = replace(made.models[0], curves={"confusion": pairs})
    names = tuple(f"class {i}" for i in range(40))
    many = replace(made, models=(model, *made.models[1:]), header=replace(made.header, classes=names))
    axes = plots_by_task.confusion(many).axes[0]
    assert len(axes.get_yticks()) == plots_by_task.SHOWN_CLASSES + 1
    assert axes.get_yticklabels()[-1].get_text() == "all others"
    assert axes.get_yticklabels()[0].get_text() == "class 28"


def test_without_a_measured_model_there_is_nothing_to_lead() -> None:
    with pytest.raises(ValueError, match="no model of the evaluation of 'line'"):
        plots_by_task.leading(replace(evaluation_of("count"), models=()))


def test_contributions_are_drawn_in_the_unit_of_the_task() -> None:
    labels = {task: key_figures(evaluation_of(task))["contributions.png"].axes[0].get_xlabel() for task in PAGES}
    assert "log odds" in labels["binary"]
    assert "target's unit" in labels["regression"]
    assert "logarithm of the mean" in labels["count"]
    assert "most likely class" in labels["multiclass"]


def test_every_model_is_in_the_legend_by_day(evaluation: Evaluation) -> None:
    (legend,) = plots.loss_by_day(evaluation).legends
    assert len(legend.get_texts()) == len(evaluation.models)


def test_a_challenger_that_equals_the_champion_is_drawn_over_it_and_thinner() -> None:
    made = made_up_evaluation(champion=champion_like())
    axes = plots_by_task.curve(made, "roc").axes[0]
    challenger, champion = axes.get_lines()[:2]
    assert challenger.get_zorder() > champion.get_zorder()
    assert challenger.get_linewidth() < champion.get_linewidth()
