"""From evidence to a training that runs: the one place that asks for one, whoever brought the evidence.

Belongs here: deciding in turn, putting decisions on record, and handing out each run exactly once. Does not belong
here: the rules (`assets/logic/retraining.py`), evidence (`assets/stages/evidence.py`), and sensors.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.automation import Trigger
from assets.contracts import UseCase
from assets.logic.retraining import Decision, Evidence, Missing, PastDecision, RunStatus, decide
from assets.stages.common import asset_key
from assets.stages.evidence import last_training
from assets.stages.retraining_decisions import (
    NAME,
    SHOWN,
    Circumstances,
    materialisation,
    on_record,
    past_decisions,
    record,
)
from pipelines.attempts import ALONE
from pipelines.jobs import job_name
from pipelines.retraining_claims import Claims
from pipelines.retraining_runs import DECISION, MAX_RETRIES, Trainings, trainings
from resources.clock import Clock
from resources.lake import Lake
from resources.locks import in_turn

TRIGGER: Final = "throughline/trigger"
EVIDENCE: Final = "throughline/evidence"
"""Tags of a training: what asked for it, and where a person reads more."""
LOST_AFTER: Final = timedelta(days=7)
"""A training that was decided on so long ago and has no run will have none: the reason for it is no news any more."""


@dataclass(frozen=True, kw_only=True)
class Considered:
    """What came of evidence.

    Attributes:
        run_request: The training to launch; None if there is none to launch by this sensor or schedule now.
        decisions: What was put on record.
        why: One line for the log of the tick.
    """

    run_request: dg.RunRequest | None
    decisions: tuple[Decision, ...]
    why: str

    @property
    def result(self) -> dg.RunRequest | dg.SkipReason:
        """What a sensor or schedule returns."""
        return self.run_request or dg.SkipReason(self.why)


def consider(
    use_case: UseCase,
    evidence: Sequence[Evidence | Missing],
    *,
    feeder: str,
    instance: dg.DagsterInstance,
    lake: Lake,
    clock: Clock,
    run_home: Path,
) -> Considered:
    """Decide on evidence, put the decisions on record and in the UI, and hand out the training that is due, if any.

    Feeders take turns, in whatever process of this machine they are; so none decides on what another is deciding on. A
    feeder that was killed on the way leaves a decision without a run, which is handed out again.

    Args:
        use_case: The declaration.
        evidence: At most one per trigger.
        feeder: Name of the sensor or schedule that asks; it must return the run request.
        instance: Where runs are on record.
        lake: Where the ledger is.
        clock: Tells the present.
        run_home: Folder of the locks of this machine (`Settings.run_home`).

    Raises:
        LakeError: If the lake is out of reach; then nothing was decided, or it is on record.
    """
    with in_turn(run_home / f"{use_case.name}_retraining.lock"):
        taken = _Turn(use_case=use_case, feeder=feeder, instance=instance, lake=lake, now=clock.now())
        decisions = taken.decide_on(evidence)
        taken.show()
        request = taken.hand_out(Claims(run_home / f"{use_case.name}_retraining.json"))
    told = "; ".join(f"{d.answer}: {' '.join(d.reasons)}" for d in decisions)
    if request is None and taken.outstanding is not None:
        told = "; ".join(filter(None, [told, f"training {taken.outstanding['decision_id']} is about to begin"]))
    return Considered(run_request=request, decisions=decisions, why=told or "nothing that was not answered yet")


def waiting(use_case: UseCase, lake: Lake) -> frozenset[Trigger]:
    """The triggers on which the last decision on record is to wait.

    Raises:
        LakeError: If the lake is out of reach.
    """
    rows = on_record(use_case, lake).select("triggers", "answer").rows()
    last = {trigger: answer for triggers, answer in rows for trigger in triggers}
    return frozenset(trigger for trigger, answer in last.items() if answer == "wait")


class _Turn:
    """One feeder's turn: the ledger and the runs as they stand while no other feeder is at it."""

    def __init__(
        self, *, use_case: UseCase, feeder: str, instance: dg.DagsterInstance, lake: Lake, now: datetime
    ) -> None:
        self.use_case, self.feeder, self.instance, self.lake, self.now = use_case, feeder, instance, lake, now
        self.ledger = on_record(use_case, lake)
        self.trainings: Trainings = trainings(use_case, instance)

    def decide_on(self, evidence: Sequence[Evidence | Missing]) -> tuple[Decision, ...]:
        """Put on record all there is to say about evidence, up to a training or to nothing more."""
        made: list[Decision] = []
        policy = self.use_case.automation.retraining
        while (decision := decide(evidence, self._history(), policy, self.now)) is not None:
            last = last_training(self.use_case, self.lake)
            circumstances = Circumstances(
                decided_at=self.now,
                champion=last.champion if last else None,
                feeder=self.feeder,
                run_tags=self._tags(decision, evidence) if decision.answer == "retrain" else None,
            )
            self.ledger = record(self.use_case, self.lake, self.ledger, decision, evidence, circumstances)
            made.append(decision)
        return tuple(made)

    def show(self) -> None:
        """Report the decisions that are not in the UI yet, also those of a feeder that was killed before it could."""
        key = asset_key(self.use_case, NAME)
        event = self.instance.get_latest_materialization_event(key)
        told = event.asset_materialization.metadata if event and event.asset_materialization else {}
        shown = [told[name].value for name in ("number", "decision") if name in told]
        known = self.ledger.select("number", "decision_id").rows()
        # A ledger that begins anew has other decisions under the same numbers.
        after = int(str(shown[0])) if tuple(shown) in known else 0
        for number in self.ledger.filter(pl.col("number") > after)["number"].tail(SHOWN):
            self.instance.report_runless_asset_event(materialisation(self.use_case, self.ledger, number))

    def hand_out(self, claims: Claims) -> dg.RunRequest | None:
        """The run of the decision that has none yet, unless another feeder has it in hand, or a training runs."""
        row = self.outstanding
        if row is None or self.trainings.by_others is not None or not claims.take(row["decision_id"], self.feeder):
            return None
        job = job_name(self.use_case.name, "train")
        return dg.RunRequest(run_key=row["decision_id"], job_name=job, tags=json.loads(row["run_tags"]))

    @property
    def outstanding(self) -> dict[str, Any] | None:
        """The decision to train that has no run yet; there is one at most, as none is made while another stands."""
        asked = self.ledger.filter(pl.col("answer") == "retrain")
        if asked.is_empty() or self._statuses()[asked["decision_id"][-1]] != "none":
            return None
        return asked.row(-1, named=True)

    def _history(self) -> list[PastDecision]:
        history = past_decisions(self.ledger, self._statuses())
        if (run := self.trainings.by_others) is not None:
            history.append(_of_others(run, self.now))
        return history

    def _statuses(self) -> dict[str, RunStatus]:
        """What became of each decision to train; the runs of old ones may be gone from Dagster's records."""
        asked = self.ledger.filter(pl.col("answer") == "retrain").select("decision_id", "decided_at").rows()
        found: dict[str, RunStatus] = {}
        for place, (name, decided_at) in enumerate(asked, start=1):
            is_last, is_recent = place == len(asked), abs(self.now - decided_at) < LOST_AFTER
            unknown: RunStatus = "succeeded" if not is_last else "none" if is_recent else "failed"
            found[name] = self.trainings.of_decisions.get(name, unknown)
        return found

    def _tags(self, decision: Decision, evidence: Sequence[Evidence | Missing]) -> dict[str, str]:
        names = set(decision.evidence_ids)
        links = [e.link for e in evidence if isinstance(e, Evidence) and e.id in names and e.link]
        return {
            TRIGGER: ",".join(decision.triggers),
            DECISION: decision.id,
            EVIDENCE: " ".join(links) or f"/assets/{self.use_case.name}/{NAME}",
            MAX_RETRIES: str(self.use_case.automation.retraining.retries),
            ALONE: f"{self.use_case.name}/train",
        }


def _of_others(run_id: str, now: datetime) -> PastDecision:
    """A training under way that no decision asked for: it holds others back until it has ended, and answers nothing."""
    return PastDecision(
        id=f"by hand (run {run_id[:8]})",
        decided_at=now,
        answer="retrain",
        triggers=(),
        evidence_ids=(),
        not_before=None,
        run_status="in_flight",
    )
