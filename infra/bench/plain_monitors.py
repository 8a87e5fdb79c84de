"""The monitors of a use case as plain calls, for the script that the line is measured against.

Belongs here: the functions that the monitoring stages call, in their order. Does not belong here: the rest of the
script (`plain.py`).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from assets.contracts import UseCase
from assets.stages import drift_report, performance_report
from assets.stages.drift_reference import keep_reference
from assets.stages.drift_tables import write_tables
from assets.stages.drift_windows import judge_partitions
from resources.evidently_workspace import EvidentlyWorkspace
from resources.lake import Commit, Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.reports import Reports


@dataclass(frozen=True, kw_only=True)
class Monitors:
    """What watches one use case.

    Attributes:
        stage: Measures the block under it, by its name.
        run: Stands where a Dagster run stands.
    """

    use_case: UseCase
    lake: Lake
    registry: MlflowModelRegistry
    reports: Reports
    workspace: EvidentlyWorkspace
    commit: Commit
    stage: Callable[[str], AbstractContextManager[None]]
    run: str

    def refer(self, champion: ModelVersion) -> None:
        """What the champion is compared with from now on."""
        with self.stage("drift_reference"):
            keep_reference(self.use_case, champion, self.lake, self.registry)

    def watch(self, keys: Sequence[str]) -> None:
        """Drift and performance of some partitions, in order, and the pages of the newest."""
        use_case, lake, registry = self.use_case, self.lake, self.registry
        with self.stage("drift_report"):
            judged = judge_partitions(use_case, keys, lake, registry)
            write_tables(use_case, judged, lake, self.commit)
            drift_report.publish(use_case, judged, lake, registry, self.reports, self.workspace)
        with self.stage("performance_report"):
            found = performance_report.watched(use_case, lake, registry, keys)
            performance_report.write(use_case, lake, found.performance, keys, self.commit)
            page = performance_report.newest_page(use_case, found, datetime.now(UTC))
            performance_report.publish(use_case, page, self.reports, registry, self.run, is_latest=True)
