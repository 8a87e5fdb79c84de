"""What a reader of the pictures relies on: nothing is cut off, and no model hides another."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assets.logic.evaluation import Evaluation
from assets.reports import plots
from tests.support.evaluations import champion_like, made_up_evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN: dict[str, Callable[[Evaluation], "Figure"]] = {
    "calibration": plots.calibration,
    "roc": lambda e: plots.curve(e, "roc"),
    "by_day": lambda e: plots.loss_by_day(e, "log_loss"),
    "intervals": lambda e: plots.intervals(e, "log_loss"),
}


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Six models, as many as a report of this project shows, with names as long as theirs."""
    made = made_up_evaluation(champion=champion_like())
    challenger, champion, baseline = made.models
    others = [replace(challenger, title=title) for title in ("logistic regression", "neural network")]
    grouped = replace(baseline, title="rate by carrier and scheduled hour")
    return replace(made, models=(challenger, *others, champion, baseline, grouped))


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_off(name: str, evaluation: Evaluation) -> None:
    figure = DRAWN[name](evaluation)
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_every_model_is_in_the_legend_by_day(evaluation: Evaluation) -> None:
    (legend,) = plots.loss_by_day(evaluation, "log_loss").legends
    assert len(legend.get_texts()) == len(evaluation.models)


def test_a_challenger_that_equals_the_champion_is_drawn_over_it_and_thinner() -> None:
    made = made_up_evaluation(champion=champion_like())
    axes = plots.curve(made, "roc").axes[0]
    challenger, champion = axes.get_lines()[:2]
    assert challenger.get_zorder() > champion.get_zorder()
    assert challenger.get_linewidth() < champion.get_linewidth()
