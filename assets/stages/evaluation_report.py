"""`evaluation_report`: candidates, champion and naive baselines on the same frozen, unseen rows, and the verdict.

Belongs here: gathering contenders and rows, and where the report goes. Does not belong here: measuring and deciding
(`assets/logic`), wording (`assets/reports/evaluation.py`), and acting on the verdict (`champion.py`).
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl

from assets.code_version import code_version, git_commit
from assets.contracts import UseCase
from assets.logic.baselines import fit_baselines
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.evaluation import Evaluation, Explanation, evaluate
from assets.logic.promotion_rules import RuleOutcome
from assets.logic.splits import TrainingManifest
from assets.reports.evaluation import render_html, to_json, to_markdown
from assets.stages.candidates import FINGERPRINT_TAG, TRAINED_THROUGH_TAG
from assets.stages.common import asset_facts, asset_key
from assets.stages.training_set import as_rows, labelled_rows
from assets.trainers.base import Model
from assets.trainers.families import load_model
from resources.lake import Lake
from resources.registry import MlflowModelRegistry, ModelVersion
from resources.reports import Reports

EXPLAINED_ROWS = 1_000
"""Rows whose predictions are explained in the report; integrated gradients take 2 ms a row."""
LOGIC = ("evaluation", "contenders", "metrics", "bootstrap", "baselines", "promotion", "promotion_rules")
RULES = {
    "enough_rows": "The test window holds enough labelled rows.",
    "unseen_rows": "No contender has learnt from the test days.",
    "beats_base_rate": "Better than the base rate, paired by day.",
    "beats_group_rate": "Better than the rate of its group, paired by day.",
    "not_worse_than_champion": "Not worse than the champion by more than the margin, paired by day.",
    "no_slice_collapses": "In no slice clearly worse than the slice's own rate.",
    "is_calibrated": "Probabilities mean what they say.",
    "no_sign_of_leakage": "Not too good to be true.",
    "differs_from_champion": "Not the champion made once more.",
}
"""Rules of promotion, one asset check each; the names are those of `assets/logic/promotion_rules.py`."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the evaluation hands on: the winner, if one was promoted, over the champion it was compared with.

    Attributes:
        evaluation_id: The Dagster run and the training set it judged.
        best: The challenger the reasons are about; None if none could be scored.
    """

    evaluation_id: str
    winner: ModelVersion | None
    champion: ModelVersion | None
    best: ModelVersion | None
    reasons: tuple[str, ...]
    training_set: str


def build_evaluation_report(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that judges the candidates and reports how."""
    key = asset_key(use_case, "evaluation_report")
    ins: dict[str, dg.AssetIn] = {"training_set": dg.AssetIn(key=asset_key(use_case, "training_set"))}
    for spec in use_case.trainers:
        ins[spec.family] = dg.AssetIn(key=asset_key(use_case, spec.family), dagster_type=ModelVersion)
    rules = {n: text for n, text in RULES.items() if use_case.baseline_by or n != "beats_group_rate"}

    @dg.asset(
        key=key,
        ins=ins,
        **asset_facts(use_case, "evaluation_report", "html", "mlflow"),
        description="Candidates, champion and naive baselines on the same unseen days: scores with intervals, slices, "
        "calibration, what moved the predictions, and the verdict, rule by rule.",
        code_version=code_version(
            __name__,
            *(f"assets.logic.{name}" for name in LOGIC),
            values=(use_case.promotion, use_case.slices, use_case.baseline_by),
        ),
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in rules.items()],
    )
    def evaluation_report(
        context: dg.AssetExecutionContext,
        training_set: TrainingManifest,
        lake: Lake,
        registry: MlflowModelRegistry,
        reports: Reports,
        **candidates: ModelVersion,
    ) -> Iterator[dg.MaterializeResult[Verdict]]:
        field = Field.gather(use_case, training_set, candidates, lake, registry)
        context.log.info(f"judging {len(candidates)} candidates on {len(field.rows.label):,} unseen rows")
        evaluation = field.evaluated(context.run.run_id)
        verdict = field.verdict(evaluation, f"{context.run.run_id}/{training_set.id[:16]}")
        html = render_html(evaluation)
        content = json.dumps(to_json(evaluation), indent=2, allow_nan=False)
        stamp = evaluation.created_at.strftime("%Y-%m-%dT%H-%M-%SZ")
        uris = reports.write(
            use_case.name, "evaluation_report", stamp, {"html": html.encode(), "json": content.encode()}
        )
        with registry.run(use_case.name, "evaluation", {"dagster.run_id": context.run.run_id}) as mlflow_run:
            registry.log(mlflow_run, documents={"evaluation.html": html, "evaluation.json": content})
        context.log.info(verdict.reasons[0])
        yield dg.MaterializeResult(
            value=verdict,
            metadata={
                "decision": "promote" if verdict.winner else "keep",
                "summary": dg.MetadataValue.md(to_markdown(evaluation)),
                "report_html": dg.MetadataValue.path(uris["html"]),
                "report_json": dg.MetadataValue.path(uris["json"]),
                "mlflow_run": dg.MetadataValue.url(registry.run_url(mlflow_run)),
                **_scores(evaluation),
            },
            check_results=list(_check_results(evaluation, rules)),
        )

    return evaluation_report


@dataclass(frozen=True, kw_only=True)
class Field:
    """The contenders, what they are judged on, and the loaded models behind them."""

    use_case: UseCase
    manifest: TrainingManifest
    features: pl.DataFrame
    rows: UnseenRows
    challengers: Mapping[str, tuple[Contender, ModelVersion, Model]]
    champion: tuple[Contender, ModelVersion] | None
    baselines: tuple[Contender, ...]

    @classmethod
    def gather(
        cls,
        use_case: UseCase,
        manifest: TrainingManifest,
        candidates: Mapping[str, ModelVersion],
        lake: Lake,
        registry: MlflowModelRegistry,
    ) -> "Field":
        """Load every contender and have it predict the test window."""
        test = labelled_rows(use_case, lake, manifest, "test")
        train = labelled_rows(use_case, lake, manifest, "train")
        rows = as_rows(use_case, test)
        challengers = {
            family: (_contender(family, version, registry, model, rows.features), version, model)
            for family, version in candidates.items()
            for model in [_load(version, registry)]
        }
        live = registry.champion(use_case.name)
        baselines = fit_baselines(train, train[use_case.target.name].to_numpy(), by=use_case.baseline_by)
        return cls(
            use_case=use_case,
            manifest=manifest,
            features=rows.features,
            rows=UnseenRows(label=rows.label, day=rows.day, slices=test.select(use_case.slices)),
            challengers=challengers,
            champion=None
            if live is None
            else (_contender("champion", live, registry, _load(live, registry), rows.features), live),
            baselines=tuple(
                Contender(name=name, prediction=baseline.predict(test), title=baseline.title)
                for name, baseline in baselines.items()
            ),
        )

    def evaluated(self, run_id: str) -> Evaluation:
        """The evaluation, with an explanation of the model it is about."""
        manifest, use_case = self.manifest, self.use_case
        evaluation = evaluate(
            [contender for contender, _, _ in self.challengers.values()],
            self.champion[0] if self.champion else None,
            self.baselines,
            self.rows,
            use_case=use_case.name,
            question=use_case.description,
            task=use_case.task,
            test=manifest.windows.test,
            policy=use_case.promotion,
            seed=manifest.seed,
            created_at=datetime.now(UTC),
            basis=_basis(manifest, run_id),
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
            champion=self.champion[1] if self.champion else None,
            best=best,
            reasons=decision.reasons,
            training_set=self.manifest.id,
        )

    def _explained(self, name: str) -> Explanation:
        random = np.random.default_rng(self.manifest.seed)
        count = min(EXPLAINED_ROWS, len(self.features))
        sample = self.features[np.sort(random.choice(len(self.features), size=count, replace=False))]
        return Explanation(model=name, contributions=self.challengers[name][2].explain(sample), features=sample)


def _load(version: ModelVersion, registry: MlflowModelRegistry) -> Model:
    with tempfile.TemporaryDirectory() as room:
        return load_model(registry.download(version, Path(room)))


def _contender(
    name: str, version: ModelVersion, registry: MlflowModelRegistry, model: Model, features: pl.DataFrame
) -> Contender:
    tags = registry.tags(version)
    through = tags.get(TRAINED_THROUGH_TAG)
    return Contender(
        name=name,
        prediction=model.predict(features),
        version=str(version),
        fingerprint=tags.get(FINGERPRINT_TAG),
        trained_through=None if through is None else date.fromisoformat(through),
        title=f"the champion ({version.family.replace('_', ' ')})" if name == "champion" else None,
    )


def _basis(manifest: TrainingManifest, run_id: str) -> dict[str, str]:
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
    }


def _scores(evaluation: Evaluation) -> dict[str, float]:
    """Deciding metrics of the challengers as numbers, which the UI plots over time."""
    return {
        f"{model.name}/{name}": measured.value
        for model in evaluation.models
        if model.role == "challenger"
        for name, measured in model.metrics.items()
        if measured.value is not None
    }


def _check_results(evaluation: Evaluation, rules: Mapping[str, str]) -> Iterator[dg.AssetCheckResult]:
    """One check per rule, about the challenger the decision is about. A refusal is a result, not a failed run."""
    about: dict[str, RuleOutcome] = {
        r.rule: r for r in evaluation.decision.rules if r.model == evaluation.decision.model
    }
    for name in rules:
        outcome = about.get(name)
        yield dg.AssetCheckResult(
            check_name=name,
            passed=outcome is not None and outcome.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=outcome.reason if outcome else "No challenger could be scored.",
            metadata={} if outcome is None or outcome.observed is None else {"observed": outcome.observed},
        )
