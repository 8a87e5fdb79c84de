"""A run of a name stands once in its project, whoever makes it, and dashboards are drawn once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assets.reports.drift import SCORE, scores_snapshot
from resources.evidently_workspace import EvidentlyWorkspace, LinePanel, project_id

PANELS = [LinePanel(title="Scores", metric=SCORE, lines={"weather": "weather"})]


@pytest.fixture
def workspace(tmp_path: Path) -> EvidentlyWorkspace:
    return EvidentlyWorkspace(root=str(tmp_path / "evidently"))


def snapshot(name: str, score: float = 0.5) -> Any:
    return scores_snapshot(
        {"weather": score}, name=name, at=datetime(2024, 1, 1, tzinfo=UTC), facts={"partition": name}
    )


def dashboard(workspace: EvidentlyWorkspace) -> list[tuple[str, str]]:
    from evidently.ui.workspace import Workspace

    project = Workspace(workspace.root).get_project(project_id("churn"))
    return [(str(panel.id), panel.title) for panel in project.dashboard.model().panels]


def test_a_run_kept_again_replaces_the_first(workspace: EvidentlyWorkspace) -> None:
    from evidently.ui.workspace import Workspace

    workspace.keep("churn", {"2024-01-01": snapshot("2024-01-01", 0.5)}, PANELS)
    workspace.keep("churn", {"2024-01-01": snapshot("2024-01-01", 0.9)}, PANELS)
    (run,) = workspace.runs("churn")
    results = Workspace(workspace.root).get_run(project_id("churn"), run).metric_results
    assert [result.value for result in results.values()] == [0.9]


def test_use_cases_have_projects_of_their_own(workspace: EvidentlyWorkspace) -> None:
    for project in ("churn", "traffic"):
        workspace.keep(project, {name: snapshot(name) for name in ("2024-01-01", "2024-01-02")}, PANELS)
    assert {run["name"] for run in workspace.runs("churn").values()} == {"2024-01-01", "2024-01-02"}
    assert {run["partition"] for run in workspace.runs("traffic").values()} == {"2024-01-01", "2024-01-02"}


def test_a_dashboard_is_drawn_once_and_anew_when_its_lines_differ(workspace: EvidentlyWorkspace) -> None:
    for _ in range(2):
        workspace.keep("churn", {"a": snapshot("a")}, PANELS)
    first = dashboard(workspace)
    workspace.keep("churn", {"a": snapshot("a")}, [LinePanel(title="Scores", metric=SCORE, lines={"label": "label"})])
    second = dashboard(workspace)
    assert [title for _, title in first] == [title for _, title in second] == ["Scores"]
    workspace.keep("churn", {"a": snapshot("a")}, [LinePanel(title="Scores", metric=SCORE, lines={"label": "label"})])
    assert (first == second, second == dashboard(workspace)) == (False, True)


def test_a_project_that_was_never_kept_has_no_runs(workspace: EvidentlyWorkspace) -> None:
    workspace.keep("churn", {}, PANELS)
    assert workspace.runs("traffic") == {}
