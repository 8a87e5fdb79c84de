"""The report says who was judged on what, and the verdict hands on exact versions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assets.logic.rules_in_words import rules_in_words
from assets.stages.contest import Contest
from assets.stages.evaluation_report import publish
from assets.stages.training_set import labelled_rows, make_manifest
from resources.errors import RegistryError
from resources.registry import MlflowModelRegistry
from resources.reports import Reports
from tests.support.few_days import FEW_DAYS, LAST, Home, Trained, checks, failures

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def report(trained: Trained) -> dict[str, Any]:
    folder = trained.home.folder / "reports" / "flight_delays" / "evaluation_report"
    content: dict[str, Any] = json.loads((folder / "latest.json").read_text())
    return content


def test_the_json_has_the_agreed_keys(report: dict[str, Any]) -> None:
    assert {"use_case", "created_at", "test", "models", "decision"} <= report.keys()
    assert {"start", "end", "rows"} <= report["test"].keys()
    for model in report["models"].values():
        assert {"model_version", "metrics", "intervals"} <= model.keys()
        assert {"roc_auc", "average_precision", "log_loss", "brier"} <= model["metrics"].keys()
    assert {"promoted", "model", "reasons"} <= report["decision"].keys()


def test_candidates_and_baselines_are_judged_on_the_labelled_rows_of_the_test_window(
    report: dict[str, Any], trained: Trained
) -> None:
    home = trained.home
    rows = labelled_rows(home.use_case, home.lake, make_manifest(home.use_case, home.lake, NOW), "test")
    assert report["test"].items() >= {"start": "2013-02-03", "end": LAST, "rows": len(rows)}.items()
    assert {"logistic_regression", "base_rate", "group_rate"} <= report["models"].keys()
    assert report["models"]["logistic_regression"]["model_version"] == "flight_delays/1"


def test_the_page_stands_on_its_own_beside_its_json_and_as_latest(trained: Trained) -> None:
    folder = trained.home.folder / "reports" / "flight_delays" / "evaluation_report"
    names = sorted(p.name for p in folder.iterdir())
    stamp = names[0].removesuffix(".html")
    assert names == [f"{stamp}.html", f"{stamp}.json", "latest.html", "latest.json"]
    assert (folder / "latest.html").read_bytes() == (folder / f"{stamp}.html").read_bytes()
    page = (folder / "latest.html").read_text()
    assert "logistic regression is promoted" in page.lower()


def test_an_evaluation_that_cannot_be_put_on_record_leaves_no_report(trained: Trained, tmp_path: Path) -> None:
    home = trained.home
    contest = Contest.gather(
        home.use_case,
        make_manifest(home.use_case, home.lake, NOW),
        {"logistic_regression": home.registry.version("flight_delays", 1)},
        home.lake,
        home.registry,
    )
    nowhere = MlflowModelRegistry(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", artifact_root="/proc/nowhere", ui_url="http://127.0.0.1:5000"
    )
    with pytest.raises(RegistryError):
        publish(contest.evaluated("a run", NOW), Reports(root=str(tmp_path / "reports")), nowhere, "a run")
    assert not (tmp_path / "reports").exists()


def test_each_rule_is_a_check_that_never_stops_a_run(trained: Trained) -> None:
    found = {n.removeprefix("evaluation_report/"): c for n, c in checks(trained.result).items() if "evaluation" in n}
    assert found.keys() == rules_in_words("binary", by=("carrier",), naive={}).keys()
    assert all(check.passed and check.description for check in found.values())


def test_a_failed_rule_is_a_warning_with_its_reason(trained: Trained, tmp_path: Path) -> None:
    """The same candidate once more repeats the champion it has become."""
    own = trained.home.copy(tmp_path / "home")
    result = own.run("train", "evaluation_report", "champion")
    assert result.success, failures(result)
    repeated = checks(result)["evaluation_report/differs_from_champion"]
    assert (repeated.passed, repeated.severity.value) == (False, "WARN")
    assert repeated.description
    verdict = result.output_for_node("flight_delays__evaluation_report")
    assert verdict.winner is None
    assert str(verdict.champion) == "flight_delays/1"
    assert (
        "champion"
        in json.loads((own.folder / "reports" / "flight_delays" / "evaluation_report" / "latest.json").read_text())[
            "models"
        ]
    )


def test_the_verdict_names_the_winner_and_the_training_set_exactly(trained: Trained) -> None:
    home = trained.home
    verdict = trained.result.output_for_node("flight_delays__evaluation_report")
    assert verdict.winner == verdict.best == home.registry.version("flight_delays", 1)
    assert verdict.champion is None
    assert verdict.training_set == make_manifest(home.use_case, home.lake, NOW).id
    assert verdict.evaluation_id.startswith(trained.result.run_id)


def test_the_report_shows_in_dagster_with_scores_that_can_be_plotted(trained: Trained) -> None:
    key = trained.home.key("evaluation_report")
    event = next(e for e in trained.result.get_asset_materialization_events() if e.asset_key == key)
    metadata = event.materialization.metadata
    assert metadata["decision"].value == "promote"
    assert "| " in metadata["summary"].value
    assert "/artifacts/evaluation.html?" in str(metadata["report"].value)
    assert str(metadata["plots"].value).count("get-artifact?path=plots%2F") == 3
    assert 0.5 < metadata["logistic_regression/roc_auc"].value < FEW_DAYS.promotion.leakage_ceiling


def test_an_evaluation_without_candidates_says_what_to_materialise(ingested: Home, tmp_path: Path) -> None:
    told = failures(ingested.copy(tmp_path / "home").run("train", "evaluation_report"))
    assert "materialise flight_delays/" in told
