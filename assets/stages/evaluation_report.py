"""`evaluation_report`: candidates, champion and naive baselines on the same frozen, unseen rows, and the verdict.

Belongs here: the asset, its checks, and where the report goes. Does not belong here: the contest itself (`contest.py`),
wording (`assets/reports/evaluation.py`), and acting on the verdict (`champion.py`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.logic.evaluation import Evaluation
from assets.logic.promotion_rules import RuleOutcome
from assets.logic.rules_in_words import rules_in_words
from assets.logic.splits import TrainingManifest
from assets.reports.evaluation import headline, render_html, score_table, to_json, to_markdown
from assets.reports.task_pages import key_figures
from assets.stages.common import asset_facts, asset_key, pictures
from assets.stages.contest import Contest, Verdict
from assets.trainers.families import family_name
from resources.clock import Clock
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry
from resources.reports import Reports

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def build_evaluation_report(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that judges the candidates and reports how."""
    key = asset_key(use_case, "evaluation_report")
    ins: dict[str, dg.AssetIn] = {"training_set": dg.AssetIn(key=asset_key(use_case, "training_set"))}
    for spec in use_case.trainers:
        family = family_name(spec.family)
        ins[family] = dg.AssetIn(key=asset_key(use_case, family), dagster_type=ModelVersion)
    rules = rules_in_words(use_case.task, by=use_case.baseline_by, naive=use_case.naive)

    @dg.asset(
        key=key,
        ins=ins,
        **asset_facts(use_case, "evaluation_report", "html", "mlflow"),
        description="Candidates, champion and naive baselines on the same unseen days: scores with intervals, slices, "
        "calibration, what moved the predictions, and the verdict, rule by rule.",
        code_version=code_version(
            __name__, values=(use_case.promotion, use_case.slices, use_case.baseline_by, use_case.naive)
        ),
        check_specs=[dg.AssetCheckSpec(name, asset=key, description=text) for name, text in rules.items()],
    )
    def evaluation_report(
        context: dg.AssetExecutionContext,
        training_set: TrainingManifest,
        lake: Lake,
        registry: MlflowModelRegistry,
        reports: Reports,
        clock: Clock,
        **candidates: ModelVersion,
    ) -> Iterator[dg.MaterializeResult[Verdict]]:
        contest = Contest.gather(use_case, training_set, candidates, lake, registry)
        context.log.info(f"judging {len(candidates)} candidates on {len(contest.rows.label):,} unseen rows")
        evaluation = contest.evaluated(context.run.run_id, clock.now())
        verdict = contest.verdict(evaluation, f"{context.run.run_id}/{training_set.id[:16]}")
        published = publish(evaluation, reports, registry, context.run.run_id)
        context.log.info(verdict.reasons[0])
        yield dg.MaterializeResult(
            value=verdict,
            metadata={
                "decision": "promote" if verdict.winner else "keep",
                "headline": headline(evaluation),
                "scores": dg.MetadataValue.md(score_table(evaluation)),
                "plots": pictures(registry, published.mlflow_run, published.plots),
                "report": dg.MetadataValue.url(registry.document_url(published.mlflow_run, "evaluation.html")),
                "summary": dg.MetadataValue.md(to_markdown(evaluation)),
                "report_html": dg.MetadataValue.path(published.uris["html"]),
                "report_json": dg.MetadataValue.path(published.uris["json"]),
                "mlflow_run": dg.MetadataValue.url(registry.run_url(published.mlflow_run)),
                **_scores(evaluation),
            },
            check_results=list(_check_results(evaluation, rules)),
        )

    return evaluation_report


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a report is: its files by ending, and the MLflow run with the paths of its plots."""

    uris: Mapping[str, str]
    mlflow_run: str
    plots: tuple[str, ...]


def publish(evaluation: Evaluation, reports: Reports, registry: MlflowModelRegistry, dagster_run: str) -> Published:
    """Keep an evaluation as HTML and JSON files, and in an MLflow run of its own."""
    pages = {"html": render_html(evaluation), "json": json.dumps(to_json(evaluation), indent=2, allow_nan=False)}
    documents = {f"evaluation.{ending}": page for ending, page in pages.items()}
    figures, stamp = _figures(evaluation), evaluation.header.created_at.strftime("%Y-%m-%dT%H-%M-%SZ")
    with registry.run(evaluation.header.use_case, "evaluation", {"dagster.run_id": dagster_run}) as mlflow_run:
        registry.log(mlflow_run, metrics=_scores(evaluation), figures=figures, documents=documents)
        # Last: `latest` must not tell of an evaluation that went no further.
        files = {ending: page.encode() for ending, page in pages.items()}
        uris = reports.write(evaluation.header.use_case, "evaluation_report", stamp, files)
    return Published(uris=uris, mlflow_run=mlflow_run, plots=tuple(figures))


def _figures(evaluation: Evaluation) -> dict[str, "Figure"]:
    """The plots that say most, where there is something to draw."""
    return {f"plots/{name}": figure for name, figure in key_figures(evaluation).items()}


def _scores(evaluation: Evaluation) -> dict[str, float]:
    """Deciding metrics of the challengers as numbers, which the UI plots over time."""
    return {
        f"{model.name}/{name}": measured.value
        for model in evaluation.models
        if model.role == "challenger"
        for name, measured in model.metrics.items()
        if measured.value is not None
    }


def _numbers(outcome: RuleOutcome | None) -> dict[str, float]:
    """What a rule measured and its limit, where it has such numbers."""
    found = {} if outcome is None else {"measured": outcome.observed, "limit": outcome.limit}
    return {name: value for name, value in found.items() if value is not None}


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
            metadata=_numbers(outcome),
        )
