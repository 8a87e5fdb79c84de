"""Evidently's interface runs when it is asked for, is shown by `status`, and ends with everything else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from assets.reports.drift import SCORE, scores_snapshot
from pipelines import services
from pipelines.monitor import NothingToShowError, monitor
from resources.evidently_workspace import EvidentlyWorkspace, LinePanel
from resources.settings import Settings
from tests.support.serving import free_port
from tests.support.small_line import PREPARED


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (*PREPARED, "THROUGHLINE_HOME"):
            patch.setenv(name, "")  # so that what the commands set is put back
        ports = {f"{name}_port": free_port() for name in ("endpoint", "dagster", "mlflow", "evidently")}
        settings = Settings(home=tmp_path / "home", **ports)  # type: ignore[arg-type]
        services.prepare_environment(settings)
        yield settings
        services.stop(settings, [].append)


def test_without_a_report_there_is_nothing_to_show_and_nothing_starts(settings: Settings) -> None:
    with pytest.raises(NothingToShowError, match="materialise drift_report"):
        monitor(settings, [].append)
    (shown,) = [line.split() for line in services.status(settings, []).splitlines() if line.startswith("Evidently")]
    assert shown[1] == "stopped"


def test_the_history_is_shown_until_everything_is_stopped(settings: Settings) -> None:
    snapshot = scores_snapshot({"weather": 0.4}, name="a day", at=datetime(2024, 1, 1, tzinfo=UTC), facts={})
    panels = [LinePanel(title="Scores", metric=SCORE, lines={"weather": "weather"})]
    EvidentlyWorkspace(root=str(settings.evidently_home)).keep("churn", {"a day": snapshot}, panels)
    address = monitor(settings, [].append)
    with urlopen(f"{address}/api/projects") as answer:
        assert [project["name"] for project in json.load(answer)] == ["churn"]
    assert monitor(settings, [].append) == address
    told: list[str] = []
    services.stop(settings, told.append)
    assert told == ["Stopped: Evidently"]
