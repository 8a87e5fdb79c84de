import dataclasses
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from assets.logic.contenders import Contender, UnseenRows
from assets.logic.evaluation import Evaluation, Explanation, evaluate
from assets.reports.evaluation import headline, render_html, score_table, to_json, to_markdown
from assets.reports.evaluation_tables import model_rows
from assets.reports.task_pages import PAGES, page_of
from tests.support.evaluations import champion_like, evaluation_of, header, made_up_evaluation


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made_up_evaluation(champion=champion_like(), explained=True)


def test_the_json_has_the_keys_that_programs_rely_on(evaluation: Evaluation) -> None:
    content = to_json(evaluation)
    assert {"use_case", "created_at", "test", "models", "decision", "by_day", "slices", "calibration", "rules"} <= set(
        content
    )
    assert (content["test"]["start"], content["test"]["end"], content["test"]["rows"]) == (
        "2013-08-01",
        "2013-08-14",
        2800,
    )
    assert set(content["models"]) == {"catboost", "champion", "base_rate"}
    model = content["models"]["catboost"]
    assert model["model_version"] == "line/2"
    assert {"roc_auc", "average_precision", "log_loss", "brier"} <= set(model["metrics"])
    assert {"roc_auc", "average_precision", "log_loss", "brier"} == set(model["intervals"])
    assert {"promoted", "model", "reasons"} <= set(content["decision"])


def test_the_json_tells_the_decision(evaluation: Evaluation) -> None:
    decision = to_json(evaluation)["decision"]
    assert (decision["promoted"], decision["model"], decision["model_version"]) == (True, "catboost", "line/2")


def test_the_json_is_strict_even_when_a_model_could_not_be_scored() -> None:
    text = json.dumps(to_json(made_up_evaluation(broken=True)), allow_nan=False)
    model = json.loads(text)["models"]["catboost"]
    assert set(model["metrics"].values()) == {None}
    assert model["undefined"]["roc_auc"] == "its file is gone"


def test_a_test_month_of_one_class_gives_reports_without_scores() -> None:
    one = made_up_evaluation(label=np.zeros(2800, dtype=np.int8))
    assert to_json(one)["models"]["catboost"]["metrics"]["log_loss"] is None
    assert "all 2800 labels are 0" in render_html(one)
    assert "Nothing goes live" in to_markdown(one)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_json_does_not_know_are_null(evaluation: Evaluation, value: float) -> None:
    broken = dataclasses.replace(evaluation, by_day=evaluation.by_day.with_columns(pl.lit(value).alias("log_loss")))
    assert {row["log_loss"] for row in to_json(broken)["by_day"]} == {None}


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (None, "CatBoost goes live"),
        (champion_like(), "CatBoost replaces the live model"),
        (champion_like("f2"), "The live model stays"),
    ],
)
def test_the_headline_says_what_happens(champion: Contender | None, words: str) -> None:
    assert headline(made_up_evaluation(champion=champion)) == words


class Page(HTMLParser):
    """What a browser would have to fetch, and what it would show for a picture it cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.descriptions: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.sources += [v for k, v in attrs if k in {"src", "href"} and v]
        if tag == "img":
            self.descriptions.append(found.get("alt") or "")


def test_the_page_fetches_nothing_and_describes_every_picture(evaluation: Evaluation) -> None:
    page = Page()
    page.feed(render_html(evaluation))
    assert len(page.sources) == 6
    assert all(source.startswith("data:image/") for source in page.sources)
    assert all(len(text) > 10 for text in page.descriptions)


def test_the_page_shows_decision_rules_models_and_what_they_rest_on(evaluation: Evaluation) -> None:
    text = re.sub(r"<[^>]+>", " ", render_html(evaluation))
    for words in ("CatBoost replaces the live model", "No slice collapses", "line/2", "abc123", "Will it be late?"):
        assert words in text


def test_values_from_the_data_are_escaped(evaluation: Evaluation) -> None:
    page = render_html(evaluation)
    assert "&lt;A&amp;B&gt;" in page
    assert "<A&B>" not in page


def test_the_same_evaluation_gives_the_same_page(evaluation: Evaluation) -> None:
    assert render_html(evaluation) == render_html(evaluation)


def test_the_markdown_is_small_enough_for_the_event_log(evaluation: Evaluation) -> None:
    text = to_markdown(evaluation)
    assert "| CatBoost | line/2 |" in text
    assert text.count("data:image/png;base64,") == 2
    assert len(text) < 250_000


def test_challengers_come_first_and_the_best_of_them_leads(evaluation: Evaluation) -> None:
    assert [m.role for m in evaluation.models] == ["challenger", "champion", "baseline"]


def test_contributions_of_another_shape_than_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match="contributions have shape"):
        Explanation(model="m", contributions=np.zeros((3, 1)), features=pl.DataFrame({"a": [1, 2]}))


def test_a_contender_that_did_not_take_part_is_named(evaluation: Evaluation) -> None:
    with pytest.raises(KeyError, match="'forest' did not take part"):
        evaluation.model("forest")


OTHERS = ("multiclass", "regression", "count")


@pytest.fixture(scope="module")
def evaluations() -> dict[str, Evaluation]:
    return {task: evaluation_of(task) for task in PAGES}


@pytest.mark.parametrize("task", PAGES)
def test_every_task_has_a_page_that_fetches_nothing_and_shows_all_its_pictures(
    task: str, evaluations: dict[str, Evaluation]
) -> None:
    page = Page()
    page.feed(render_html(evaluations[task]))
    common = 3  # scores with intervals, days, contributions
    assert len(page.sources) == common + len(page_of(evaluations[task]).drawings)
    assert all(source.startswith("data:image/") for source in page.sources)
    assert all(len(text) > 10 for text in page.descriptions)


@pytest.mark.parametrize("task", ["regression", "count"])
def test_a_page_about_quantities_says_nothing_of_probabilities(task: str, evaluations: dict[str, Evaluation]) -> None:
    text = re.sub(r"<[^>]+>", " ", render_html(evaluations[task])) + to_markdown(evaluations[task]).split("![")[0]
    unfit = ("robabilit", "log odds", "Log loss", "ROC", "positive", "plain rate", "own rate", "Own rate")
    assert [words for words in unfit if words in text] == []
    assert "Inside the 90% interval" in text


@pytest.mark.parametrize("task", PAGES)
def test_the_json_of_every_task_is_strict_and_has_the_deciding_metric(
    task: str, evaluations: dict[str, Evaluation]
) -> None:
    content = json.loads(json.dumps(to_json(evaluations[task]), allow_nan=False))
    loss = evaluations[task].metrics.loss
    assert content["models"]["catboost"]["metrics"][loss] > 0
    assert content["models"]["catboost"]["intervals"][loss]["low"] > 0
    assert {row["model"] for row in content["by_day"]} == set(content["models"])
    assert all(row[loss] > 0 for row in content["slices"])


@pytest.mark.parametrize("task", PAGES)
def test_the_score_table_of_every_task_is_short_enough_to_be_shown_without_a_click(
    task: str, evaluations: dict[str, Evaluation]
) -> None:
    assert len(score_table(evaluations[task])) < 1000
    assert len(to_markdown(evaluations[task])) < 250_000


def test_the_header_says_what_the_labels_are_like(evaluations: dict[str, Evaluation]) -> None:
    assert "of them positive" in to_markdown(evaluations["binary"])
    assert "4 classes among them" in to_markdown(evaluations["multiclass"])
    assert "nine in ten labels from" in to_markdown(evaluations["regression"])


def test_neither_a_bias_nor_a_wide_interval_is_called_the_best(evaluations: dict[str, Evaluation]) -> None:
    names = list(evaluations["regression"].metrics.metrics)
    best = {
        names[i] for row in model_rows(evaluations["regression"]) for i, c in enumerate(row["cells"]) if c["is_best"]
    }
    assert best == {"mae", "rmse", "r2", "coverage_error"}


@pytest.mark.parametrize("task", OTHERS)
def test_a_test_window_without_rows_gives_reports_without_scores(task: str) -> None:
    made = evaluation_of(task)
    rows = UnseenRows(label=np.array([]), day=np.array([], dtype="datetime64[D]"), slices=pl.DataFrame())
    width = 4 if task == "multiclass" else 3
    cat = Contender(name="cat", prediction=np.zeros((0, width)))
    empty = evaluate([cat], None, [], rows, header=made.header, policy=made.policy, seed=1, resamples=10)
    assert "there are no labelled rows" in render_html(empty)
    assert "Nothing goes live" in to_markdown(empty)
    assert to_json(empty)["models"]["cat"]["metrics"][empty.metrics.loss] is None


def test_a_task_without_a_page_is_refused_by_name(evaluation: Evaluation) -> None:
    with pytest.raises(ValueError, match="'ranking' has no page"):
        page_of(dataclasses.replace(evaluation, header=header("ranking")))
