"""`champion`: the promoted version, or the kept one with the reason, and the ledger of every such decision.

Belongs here: carrying a verdict out, once, and putting it on record. Does not belong here: reaching it
(`assets/logic/promotion.py`).
"""

from datetime import datetime, timedelta

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import UseCase
from assets.stages.common import asset_facts, asset_key, commit_of, preview, table_name
from assets.stages.contest import Verdict
from resources.clock import Clock
from resources.lake import Lake
from resources.mlflow_versions import ModelVersion
from resources.registry import MlflowModelRegistry

LEDGER = "promotion_ledger"
"""Append-only lake table, one row per evaluation: what was decided, when, why, in which run."""
LEDGER_SCHEMA = {
    "evaluation_id": pl.String(),
    "decided_at": pl.Datetime("us", "UTC"),
    "decision": pl.String(),
    "model_version": pl.String(),
    "family": pl.String(),
    "previous_version": pl.String(),
    "reasons": pl.List(pl.String()),
    "training_set": pl.String(),
    "dagster_run_id": pl.String(),
    "tested_through": pl.Date(),
}
"""`tested_through` is the last day whose labels the decision has seen; null in rows from before it was kept."""


def build_champion(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that moves the alias `champion` in MLflow, or leaves it and says why."""
    key = asset_key(use_case, "champion")

    @dg.asset(
        key=key,
        ins={"verdict": dg.AssetIn(key=asset_key(use_case, "evaluation_report"))},
        **asset_facts(use_case, "champion", "mlflow", "deltalake"),
        description="The model version that is to be live. Every decision about it is a row of the promotion ledger.",
        code_version=code_version(__name__),
    )
    def champion(
        context: dg.AssetExecutionContext, verdict: Verdict, lake: Lake, registry: MlflowModelRegistry, clock: Clock
    ) -> dg.MaterializeResult[ModelVersion]:
        before = registry.champion(use_case.name)
        if before not in (verdict.champion, verdict.winner):
            raise dg.Failure(
                f"the evaluation compared with {verdict.champion or 'no champion'}, but {before} is champion now; "
                "materialise evaluation_report again",
                allow_retries=False,
            )
        ledger = table_name(use_case, LEDGER)
        # The ledger comes first, and once per evaluation: killed in between, a second run completes the first.
        if not _is_on_record(lake, ledger, verdict):
            row = _row(verdict, context.run.run_id, _next_instant(lake, ledger, clock.now()))
            lake.append(ledger, row, commit_of(context, key), schema_evolution=True)
        if verdict.winner is not None:
            registry.promote(verdict.winner)
        live = verdict.winner or before
        if live is None:
            raise dg.Failure(
                f"no model of {use_case.name} has ever been good enough: {' '.join(verdict.reasons)}",
                allow_retries=False,
            )
        decision = "promoted" if verdict.winner else "kept"
        context.log.info(f"{decision}: {live} ({live.family}). {verdict.reasons[0]}")
        history = lake.scan(ledger).sort("decided_at", descending=True).head(10).collect()
        return dg.MaterializeResult(
            value=live,
            data_version=dg.DataVersion(str(live)),
            metadata={
                "decision": decision,
                "model_version": str(live),
                "family": live.family,
                "why": verdict.reasons[0],
                "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in verdict.reasons)),
                "ledger": preview(
                    history.select("decided_at", "decision", "model_version", "previous_version", "family")
                ),
                "mlflow_version": dg.MetadataValue.url(registry.version_url(live)),
            },
        )

    return champion


def _is_on_record(lake: Lake, ledger: str, verdict: Verdict) -> bool:
    if lake.version(ledger) is None:
        return False
    return not lake.scan(ledger).filter(pl.col("evaluation_id") == verdict.evaluation_id).collect().is_empty()


def _next_instant(lake: Lake, ledger: str, now: datetime) -> datetime:
    """The present, or right after the last decision where that is of the future: a clock that was ahead is right again.

    The ledger is read in the order of its times, and the last promotion in it is who is champion.
    """
    if lake.version(ledger) is None:
        return now
    last: datetime | None = lake.scan(ledger).select(pl.col("decided_at").max()).collect().item()
    return now if last is None else max(now, last + timedelta(microseconds=1))


def _row(verdict: Verdict, run_id: str, now: datetime) -> pl.DataFrame:
    model = verdict.winner or verdict.champion
    row = {
        "evaluation_id": verdict.evaluation_id,
        "decided_at": now,
        "decision": "promoted" if verdict.winner else "kept" if verdict.champion else "refused",
        "model_version": str(model) if model else None,
        "family": model.family if model else None,
        "previous_version": str(verdict.champion) if verdict.champion else None,
        "reasons": list(verdict.reasons),
        "training_set": verdict.training_set,
        "dagster_run_id": run_id,
        "tested_through": verdict.tested_through,
    }
    return pl.DataFrame([row], schema=LEDGER_SCHEMA)
