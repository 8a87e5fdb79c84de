"""A plain script that calls what the assets call, in their order, without Dagster; started by `children.measured`.

Belongs here: the same reads, decisions and writes as a first run of the line, so that what Dagster costs is the
difference. Does not belong here: anything the line does not do, and what only Dagster's user interface needs.

Importing Dagster is part of it, because the functions live in modules that declare assets.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import polars as pl
import typer

from assets.checks.expectations import validate
from assets.code_version import git_commit
from assets.contracts import SourceTable, UseCase
from assets.logic.splits import TrainingManifest
from assets.policies import TrainerSpec
from assets.stages import champion
from assets.stages.candidates import make_candidate
from assets.stages.cleaned import clean_table
from assets.stages.common import table_name
from assets.stages.contest import Contest, Verdict
from assets.stages.endpoint import go_live
from assets.stages.evaluation_report import publish
from assets.stages.exploration import describe
from assets.stages.features import feature_rows, find_leaks, load_history
from assets.stages.predictions import score_rows
from assets.stages.raw import take_in
from assets.stages.training_set import make_manifest
from infra.bench.children import Span, spent, tell
from infra.bench.plain_monitors import Monitors
from infra.bench.subject import SUBJECTS, work_done
from pipelines.services import prepare_environment
from resources.environments import resources_for
from resources.evidently_workspace import EvidentlyWorkspace
from resources.lake import Commit, Lake
from resources.landing import LandingZone
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.reports import Reports
from resources.serving.client import Endpoint
from resources.settings import Settings

RUN: Final = "plain-script"
COMMIT: Final = Commit(dagster_run_id=RUN, code_version="plain")


@dataclass(kw_only=True)
class Script:
    """The work of one use case, stage by stage, over the resources of the laptop form."""

    use_case: UseCase
    settings: Settings
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = resources_for(self.settings)
        self.landing = cast(LandingZone, made["landing"])
        self.lake = cast(Lake, made["lake"])
        self.registry = cast(MlflowModelRegistry, made["registry"])
        self.reports = cast(Reports, made["reports"])
        self.server = cast(Endpoint, made["endpoint_server"])
        self.monitors = Monitors(
            use_case=self.use_case,
            lake=self.lake,
            registry=self.registry,
            reports=self.reports,
            workspace=cast(EvidentlyWorkspace, made["evidently_workspace"]),
            commit=COMMIT,
            stage=self._stage,
            run=RUN,
        )

    def run(self) -> None:
        """Everything that a first run of the line does."""
        self.ingest()
        self.explore()
        self.train()
        self.score()

    def ingest(self) -> None:
        """From landed files to features, all days that have landed at once."""
        table = self.use_case.table(self.use_case.entity_table)
        days = sorted(str(day) for day in table.source.arrivals(self.landing.store))
        for each in self.use_case.tables:
            keys = days if each.is_partitioned else None
            with self._stage(f"raw_{each.name}"):
                intake = take_in(each, self.landing.store, keys)
                arrived = None if keys is None else [k for k in keys if k not in intake.missing]
                self._write(f"raw_{each.name}", intake.rows, arrived)
            with self._stage(f"cleaned_{each.name}"):
                self._clean(each, keys)
        with self._stage("features"):
            self._features(days)

    def explore(self) -> None:
        """Describe every cleaned table."""
        name = self.use_case.name
        with self._stage("exploration_report"), self.registry.run(name, "exploration", {}) as run_id:
            for table in self.use_case.tables:
                found, _ = describe(self.use_case, table, self.lake, self.reports)
                self.registry.log(run_id, documents={f"{table.name}.html": found.html})

    def train(self) -> None:
        """From features to a judged model that answers."""
        with self._stage("training_set"):
            manifest = make_manifest(self.use_case, self.lake, datetime.now(UTC))
        versions: dict[str, ModelVersion] = {}
        for spec in self.use_case.trainers:
            with self._stage(spec.family):
                versions[spec.family] = self._candidate(spec, manifest)
        with self._stage("evaluation_report"):
            verdict = self._judged(manifest, versions)
        with self._stage("champion"):
            winner = self._promoted(verdict)
        self.monitors.refer(winner)
        with self._stage("endpoint"):
            self._serve(winner, manifest)

    def score(self) -> None:
        """Batch scores of the last days, watched."""
        with self._stage("predictions"):
            known = sorted(self.lake.partitions(self._name("features")))
            first = self.use_case.partitions.before(known[-1], self.use_case.split.test // timedelta(days=1) - 1)
            due = [day for day in known if day >= first]
            winner = self.registry.champion(self.use_case.name)
            if winner is None:
                raise RuntimeError("nothing was promoted")
            rows = self.lake.scan(self._name("features"), partitions=due).collect()
            self._write("predictions", score_rows(self.use_case, rows, winner, self.registry), due)
        self.monitors.watch(due)

    def _clean(self, table: SourceTable, keys: list[str] | None) -> None:
        raw = self.lake.scan(self._name(f"raw_{table.name}"), partitions=keys).collect()
        cleaned = clean_table(table, raw, {n: self.lake.scan(self._name(f"cleaned_{n}")) for n in table.lookups})
        self._write(f"cleaned_{table.name}", cleaned.rows, keys)
        self._write(f"quarantined_{table.name}", cleaned.rejected, keys)
        validate(cleaned.rows, table.expectations)

    def _features(self, days: list[str]) -> None:
        use_case = self.use_case
        history = load_history(self.lake, use_case, days)
        rows = feature_rows(use_case, history, days)
        self.lake.write(self._name("features"), rows, partitions=days, commit=COMMIT, schema_evolution=True)
        if leaks := find_leaks(use_case, rows, history):
            raise RuntimeError(f"features leak: {leaks[0]}")

    def _candidate(self, spec: TrainerSpec, manifest: TrainingManifest) -> ModelVersion:
        with self.registry.run(self.use_case.name, spec.family, {"mlflow.source.git.commit": git_commit()}) as run_id:
            return make_candidate(self.use_case, spec, manifest, self.lake, self.registry, run_id, typer.echo).version

    def _judged(self, manifest: TrainingManifest, versions: dict[str, ModelVersion]) -> Verdict:
        contest = Contest.gather(self.use_case, manifest, versions, self.lake, self.registry)
        evaluation = contest.evaluated(RUN, datetime.now(UTC))
        publish(evaluation, self.reports, self.registry, RUN)
        return contest.verdict(evaluation, RUN)

    def _promoted(self, verdict: Verdict) -> ModelVersion:
        self.lake.append(self._name(champion.LEDGER), champion._row(verdict, RUN, datetime.now(UTC)), COMMIT)
        if verdict.winner is None:
            raise RuntimeError(f"nothing was promoted: {' '.join(verdict.reasons)}")
        self.registry.promote(verdict.winner)
        return verdict.winner

    def _serve(self, version: ModelVersion, manifest: TrainingManifest) -> None:
        name = self.use_case.name
        self.server.ensure_running(name, f"pipelines.{name}.use_case:{name.upper()}")
        proof = go_live(self.use_case, version, manifest, self.lake, self.registry, self.server)
        if not proof.passed:
            raise RuntimeError("the endpoint does not answer as the model did offline")

    def _write(self, table: str, frame: pl.DataFrame, partitions: list[str] | None) -> None:
        self.lake.write(self._name(table), frame, partitions=partitions, commit=COMMIT)

    def _name(self, table: str) -> str:
        return table_name(self.use_case, table)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.time()
        typer.echo(f"  {name} ...")
        yield
        self.spans.append(Span(name=name, start=start, end=time.time()))


def main(started: str, result: str, subject: str, part: str = "run") -> None:
    """Do the work, or one part of it by its name in `Script`, and tell how long it took.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`.
        part: A method of `Script`.
    """
    settings = Settings()
    prepare_environment(settings)
    use_case = SUBJECTS[subject].use_case
    script = Script(use_case=use_case, settings=settings)
    getattr(script, part)()
    took = spent(float(started))
    facts = {"work": work_done(use_case, settings)} if part == "run" else {}
    tell(Path(result), took, stages=script.spans, facts=facts)


if __name__ == "__main__":
    main(*sys.argv[1:])
