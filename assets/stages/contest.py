"""The contest behind `evaluation_report`: candidates, champion and baselines on the same frozen, unseen rows.

Belongs here: gathering contenders and rows, and the verdict in exact versions. Does not belong here: measuring and
deciding (`assets/logic`), and the asset that reports it (`evaluation_report.py`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from assets.code_version import git_commit
from assets.contracts import UseCase
from assets.logic.baselines import fit_baselines
from assets.logic.classes import in_terms_of
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.evaluation import Evaluation, Explanation, Header, evaluate
from assets.logic.splits import TrainingManifest
from assets.policies import OTHER
from assets.stages.candidates import FINGERPRINT_TAG, TRAINED_THROUGH_TAG
from assets.stages.training_set import as_rows, encoded_label, labelled_rows
from assets.trainers.base import Model
from assets.trainers.encoding import FeatureError
from assets.trainers.families import described, load_model
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

EXPLAINED_ROWS = 1_000
"""Rows whose predictions are explained in the report; integrated gradients take 2 ms a row."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the evaluation hands on: the winner, if one was promoted, over the champion it was compared with.

    Attributes:
        evaluation_id: The Dagster run and the training set it judged.
        best: The challenger the reasons are about; None if none could be scored.
        tested_through: Last day of the test window; None in a verdict from before it was kept.
    """

    evaluation_id: str
    winner: ModelVersion | None
    champion: ModelVersion | None
    best: ModelVersion | None
    reasons: tuple[str, ...]
    training_set: str
    tested_through: date | None = None


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The contenders, what they are judged on, and the loaded models behind them."""

    use_case: UseCase
    manifest: TrainingManifest
    features: pl.DataFrame
    rows: UnseenRows
    challengers: Mapping[str, tuple[Contender, ModelVersion, Model]]
    champion: Contender | None
    live: ModelVersion | None
    notes: tuple[str, ...]
    baselines: tuple[Contender, ...]

    @classmethod
    def gather(
        cls,
        use_case: UseCase,
        manifest: TrainingManifest,
        candidates: Mapping[str, ModelVersion],
        lake: Lake,
        registry: MlflowModelRegistry,
    ) -> "Contest":
        """Load every contender and have it predict the test window."""
        test = labelled_rows(use_case, lake, manifest, "test")
        train = labelled_rows(use_case, lake, manifest, "train")
        rows, classes = as_rows(use_case, test, manifest.classes), outputs_of(manifest)
        challengers = {
            family: (_contender(family, version, registry, model, rows.features, classes), version, model)
            for family, version in candidates.items()
            for model in [_load(version, registry)]
        }
        live = registry.champion(use_case.name)
        champion, notes = _champion(live, registry, rows.features, classes)
        baselines = fit_baselines(
            use_case.task,
            train,
            encoded_label(use_case.task, train[use_case.target.name], manifest.classes),
            by=use_case.baseline_by,
            naive=use_case.naive,
            classes=manifest.classes,
        )
        return cls(
            use_case=use_case,
            manifest=manifest,
            features=rows.features,
            rows=UnseenRows(label=rows.label, day=rows.day, slices=test.select(use_case.slices)),
            challengers=challengers,
            champion=champion,
            live=live,
            notes=notes,
            baselines=tuple(
                Contender(name=name, prediction=baseline.predict(test), title=baseline.title)
                for name, baseline in baselines.items()
            ),
        )

    def evaluated(self, run_id: str, now: datetime) -> Evaluation:
        """The evaluation, with an explanation of the model it is about."""
        manifest, use_case = self.manifest, self.use_case
        header = Header(
            use_case=use_case.name,
            question=use_case.description,
            task=use_case.task,
            test=manifest.windows.test,
            created_at=now,
            basis=_basis(manifest, run_id, self.notes),
            classes=outputs_of(manifest),
        )
        challengers = [contender for contender, _, _ in self.challengers.values()]
        evaluation = evaluate(
            challengers,
            self.champion,
            self.baselines,
            self.rows,
            header=header,
            policy=use_case.promotion,
            seed=manifest.seed,
        )
        best = evaluation.decision.model
        return evaluation if best is None else replace(evaluation, explanation=self._explained(best))

    def verdict(self, evaluation: Evaluation, evaluation_id: str) -> Verdict:
        """The decision with exact versions instead of names."""
        decision = evaluation.decision
        best = self.challengers[decision.model][1] if decision.model else None
        return Verdict(
            evaluation_id=evaluation_id,
            winner=best if decision.promoted else None,
            champion=self.live,
            best=best,
            reasons=(*decision.reasons, *self.notes),
            training_set=self.manifest.id,
            tested_through=self.manifest.windows.test.end,
        )

    def _explained(self, name: str) -> Explanation:
        random = np.random.default_rng(self.manifest.seed)
        count = min(EXPLAINED_ROWS, len(self.features))
        sample = self.features[np.sort(random.choice(len(self.features), size=count, replace=False))]
        return Explanation(model=name, contributions=self.challengers[name][2].explain(sample), features=sample)


def outputs_of(manifest: TrainingManifest) -> tuple[str, ...]:
    """What the columns of a prediction stand for in a multiclass contest; empty for other tasks."""
    return (*manifest.classes, OTHER) if manifest.classes else ()


def _champion(
    live: ModelVersion | None, registry: MlflowModelRegistry, features: pl.DataFrame, classes: Sequence[str]
) -> tuple[Contender | None, tuple[str, ...]]:
    """The live model as a contender; none, with a note, if today's code no longer makes the features it reads.

    Such a model cannot be served by today's code either. Were it to stand in the way all the same, no feature could
    ever be renamed.
    """
    if live is None:
        return None, ()
    model = _load(live, registry)
    try:
        return _contender("champion", live, registry, model, features, classes), ()
    except FeatureError as error:
        return None, (f"The champion {live} could not take part, and cannot be served any more: {error}.",)


def _load(version: ModelVersion, registry: MlflowModelRegistry) -> Model:
    with tempfile.TemporaryDirectory() as room:
        return load_model(registry.download(version, Path(room)))


def _contender(
    name: str,
    version: ModelVersion,
    registry: MlflowModelRegistry,
    model: Model,
    features: pl.DataFrame,
    classes: Sequence[str],
) -> Contender:
    tags, said = registry.tags(version), model.predict(features)
    through, title = tags.get(TRAINED_THROUGH_TAG), described(version.family).title
    return Contender(
        name=name,
        # A champion of other days may know other classes.
        prediction=in_terms_of(said, model.outputs, classes) if classes else said,
        version=str(version),
        fingerprint=tags.get(FINGERPRINT_TAG),
        trained_through=None if through is None else date.fromisoformat(through),
        title=f"the champion ({title})" if name == "champion" else title,
    )


def _basis(manifest: TrainingManifest, run_id: str, notes: Sequence[str]) -> dict[str, str]:
    tables = ", ".join(f"{table} v{number}" for table, number in manifest.tables.items())
    return {
        "Training days": str(manifest.windows.train),
        "Validation days": str(manifest.windows.validation),
        "Test days": str(manifest.windows.test),
        "Table versions": tables,
        "Training set": manifest.id[:16],
        "Feature code": manifest.code_version,
        "Commit": git_commit(),
        "Seed": str(manifest.seed),
        "Dagster run": run_id,
        **({"Note": " ".join(notes)} if notes else {}),
    }
