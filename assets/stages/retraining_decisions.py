"""`retraining_decisions`: every decision on a reason to retrain, yes, no or later, as a ledger and in the UI.

Belongs here: the ledger's rows, and how they are shown. Does not belong here: deciding (`assets/logic/retraining.py`)
and starting runs (`pipelines/retraining.py`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from assets.automation import TRIGGERS
from assets.code_version import code_version
from assets.contracts import UseCase
from assets.logic.retraining_times import shown
from assets.logic.retraining_values import Decision, Evidence, Missing, PastDecision, RunStatus
from assets.reports import markdown
from assets.stages.common import asset_facts, asset_key, table_name
from resources.lake import Commit, Lake

NAME: Final = "retraining_decisions"
SCHEMA: Final = {
    "number": pl.Int64(),
    "decision_id": pl.String(),
    "decided_at": pl.Datetime("us", "UTC"),
    "answer": pl.String(),
    "triggers": pl.List(pl.String()),
    "reasons": pl.List(pl.String()),
    "not_before": pl.Datetime("us", "UTC"),
    "evidence_ids": pl.List(pl.String()),
    "evidence": pl.String(),
    "champion": pl.String(),
    "feeder": pl.String(),
    "run_tags": pl.String(),
    "code_version": pl.String(),
}
"""`number` counts the rows from 1 in the order in which they were made, which a clock that is set back would not tell.
`evidence` is JSON of all evidence that was looked at, `run_tags` JSON of the tags of the run that was asked for, null
if none was; `feeder` is the sensor or schedule that decided."""
SHOWN: Final = 10
"""Decisions in the table of an event."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What belongs to a row of the ledger beside the decision.

    Attributes:
        decided_at: By the clock of the line (UTC).
        champion: The version that was live; None if there was none.
        run_tags: Of the run that it asks for; None if it asks for none.
    """

    decided_at: datetime
    champion: str | None
    feeder: str
    run_tags: Mapping[str, str] | None = None


def retraining_decisions_spec(use_case: UseCase) -> dg.AssetSpec:
    """The ledger as an asset that no run makes: sensors and schedules report each decision as they take it."""
    facts = asset_facts(use_case, NAME, "deltalake")
    return dg.AssetSpec(
        asset_key(use_case, NAME),
        group_name=facts["group_name"],
        owners=facts["owners"],
        tags=facts["tags"],
        kinds=facts["kinds"],
        description="Every decision on a reason to retrain: when, why, on which evidence, and what came of it. One "
        "event per decision; no run makes it.",
        metadata={"dagster/table_name": table_name(use_case, NAME)},
    )


def on_record(use_case: UseCase, lake: Lake) -> pl.DataFrame:
    """All decisions, the first one first; shape (n, columns of `SCHEMA`)."""
    table = table_name(use_case, NAME)
    if lake.version(table) is None:
        return pl.DataFrame(schema=SCHEMA)
    return lake.scan(table).collect().sort("number")


def record(
    use_case: UseCase,
    lake: Lake,
    ledger: pl.DataFrame,
    decision: Decision,
    evidence: Sequence[Evidence | Missing],
    circumstances: Circumstances,
) -> pl.DataFrame:
    """Put a decision on record after those of `ledger`, in one commit; the ledger with it.

    Only one process may do this at a time.

    Raises:
        LakeError: If the lake refuses it or is out of reach; then nothing was written.
    """
    tags = circumstances.run_tags
    version = code_version("assets.logic.retraining", "assets.logic.retraining_times")
    row = {
        "number": len(ledger) + 1,
        "decision_id": decision.id,
        "decided_at": circumstances.decided_at,
        "answer": decision.answer,
        "triggers": list(decision.triggers),
        "reasons": list(decision.reasons),
        "not_before": decision.not_before,
        "evidence_ids": list(decision.evidence_ids),
        "evidence": json.dumps([_plain(e) for e in evidence], default=str),
        "champion": circumstances.champion,
        "feeder": circumstances.feeder,
        "run_tags": None if tags is None else json.dumps(dict(tags)),
        "code_version": version,
    }
    frame = pl.DataFrame([row], schema=SCHEMA)
    commit = Commit(dagster_run_id=f"no run: {circumstances.feeder}", code_version=version)
    lake.append(table_name(use_case, NAME), frame, commit, schema_evolution=True)
    return pl.concat([ledger, frame], how="diagonal")


def past_decisions(ledger: pl.DataFrame, runs: Mapping[str, RunStatus]) -> list[PastDecision]:
    """The ledger as the rules take it, with what became of the run of each decision, by its id."""
    return [
        PastDecision(
            id=row["decision_id"],
            decided_at=row["decided_at"],
            answer=row["answer"],
            triggers=tuple(t for t in TRIGGERS if t in row["triggers"]),
            evidence_ids=tuple(row["evidence_ids"]),
            not_before=row["not_before"],
            run_status=runs.get(row["decision_id"], "none"),
        )
        for row in ledger.iter_rows(named=True)
    ]


def materialisation(use_case: UseCase, ledger: pl.DataFrame, number: int) -> dg.AssetMaterialization:
    """The event that shows the decision of a number in the UI, with those before it."""
    until = ledger.filter(pl.col("number") <= number)
    row = until.row(-1, named=True)
    seen = json.loads(row["evidence"])
    links = [f"- [{e['id']}]({e['link']})" if e.get("link") else f"- {e['id']}" for e in seen]
    return dg.AssetMaterialization(
        asset_key(use_case, NAME),
        description=f"{row['answer']}: {row['reasons'][0]}",
        metadata={
            "number": number,
            "decision": row["decision_id"],
            "answer": row["answer"],
            "triggers": ", ".join(row["triggers"]),
            "decided_at": row["decided_at"].isoformat(),
            "not_before": "" if row["not_before"] is None else row["not_before"].isoformat(),
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in row["reasons"])),
            "evidence": dg.MetadataValue.md("\n".join(links)),
            "feeder": row["feeder"],
            "ledger": dg.MetadataValue.md(_as_table(until.tail(SHOWN).reverse())),
            "dagster/row_count": len(until),
        },
        tags={"dagster/data_version": row["decision_id"]},
    )


def _as_table(rows: pl.DataFrame) -> str:
    """Decisions for people, whole sentences and all."""
    head = ("decided at", "answer", "triggers", "champion", "because")
    cells = [
        (shown(r["decided_at"]), r["answer"], ", ".join(r["triggers"]), r["champion"], " ".join(r["reasons"]))
        for r in rows.iter_rows(named=True)
    ]
    return markdown.table(head, cells)


def _plain(evidence: Evidence | Missing) -> dict[str, object]:
    content = {**asdict(evidence), "is_missing": isinstance(evidence, Missing)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in content.items()}
