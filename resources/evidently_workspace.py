"""Evidently's workspace: the history of reports that its own user interface shows.

Belongs here: projects, dashboards and runs of a workspace in a folder. Does not belong here: what a run holds
(`assets/reports`), and starting the interface (`pipelines/monitor.py`).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg

from resources.locks import in_turn
from resources.objects import ObjectStore

OURS: Final = uuid.UUID("7a1c2f0e-5d3b-4c86-9f0a-2b6d1e8c4a57")
"""What the names of projects and runs become ids under: the same name is the same project, whoever makes it."""


@dataclass(frozen=True, kw_only=True)
class LinePanel:
    """A chart over time of a project's dashboard.

    Attributes:
        metric: Name of the metric that is drawn.
        lines: Columns that it is drawn of, by what they are called.
    """

    title: str
    metric: str
    lines: Mapping[str, str]


class EvidentlyWorkspace(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """A workspace in a local folder, with one project per use case.

    Attributes:
        root: The folder; made when something is first kept.
    """

    root: str

    def keep(self, project: str, runs: Mapping[str, Any], panels: Sequence[LinePanel]) -> None:
        """Keep Evidently snapshots by name; one of the same name is replaced. Dashboards are drawn anew if they differ.

        Args:
            project: Made if there is none.
            runs: Snapshots by a name that is unique in the project, such as a partition key.
            panels: Of the dashboard.
        """
        from evidently.sdk.models import ProjectModel  # type: ignore[import-untyped]  # ships no types
        from evidently.ui.workspace import Workspace  # type: ignore[import-untyped]

        with in_turn(_folder(self.root) / ".lock"):
            workspace = Workspace.create(self.root)
            own = project_id(project)
            found = workspace.get_project(own)
            if found is None:
                found = workspace.add_project(ProjectModel(id=own, name=project))
            for name, snapshot in runs.items():
                _write(self.root, own, name, snapshot)
            _draw(found.dashboard, panels)

    def runs(self, project: str) -> dict[str, Any]:
        """Metadata of the runs of a project by their id, `name` among it; none if there is no such project."""
        from evidently.ui.workspace import Workspace

        workspace, own = Workspace(self.root), project_id(project)
        if workspace.get_project(own) is None:
            return {}
        kept = {str(run): workspace.get_run(own, run) for run in workspace.list_runs(own)}
        return {run: {**model.metadata, "name": model.name} for run, model in kept.items()}


def project_id(project: str) -> uuid.UUID:
    """The id of the project of that name."""
    return uuid.uuid5(OURS, project)


def _write(root: str, project: uuid.UUID, name: str, snapshot: Any) -> None:
    """Put a snapshot where Evidently keeps it, whole or not at all, under the id that belongs to its name.

    Evidently's own `add_run` gives every run a new id, so that one made again would stand beside the first, and writes
    bit by bit, so that a killed process leaves half a file, which its interface cannot read.
    """
    from evidently.legacy.utils import NumpyEncoder  # type: ignore[import-untyped]
    from evidently.ui.storage.local.base import SNAPSHOTS_DIR_NAME  # type: ignore[import-untyped]

    text = json.dumps(snapshot.to_snapshot_model().dict(), cls=NumpyEncoder)
    ObjectStore(root).write(f"{project}/{SNAPSHOTS_DIR_NAME}/{uuid.uuid5(project, name)}.json", text.encode())


def _draw(dashboard: Any, panels: Sequence[LinePanel]) -> None:
    """Make the dashboard hold exactly these panels; one that does is left alone, for a person may have moved it."""
    from evidently.sdk.models import PanelMetric
    from evidently.sdk.panels import line_plot_panel  # type: ignore[import-untyped]

    wanted = {panel.title: set(panel.lines.values()) for panel in panels}
    there = dashboard.model().panels
    if {p.title: {m.metric_labels.get("column") for m in p.values} for p in there} == wanted:
        return
    dashboard.clear_dashboard()
    for panel in panels:
        lines = [
            PanelMetric(metric=panel.metric, metric_labels={"column": column}, legend=legend)
            for legend, column in panel.lines.items()
        ]
        dashboard.add_panel(line_plot_panel(title=panel.title, values=lines))


def _folder(root: str) -> Path:
    folder = Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
