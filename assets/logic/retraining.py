"""Is a model to be retrained now? One pure decision from evidence, earlier decisions and the policy of the use case.

Belongs here: the rules. Does not belong here: where evidence comes from (`assets/stages/evidence.py`), the ledger
(`assets/stages/retraining_decisions.py`), and when a retraining may begin (`retraining_times.py`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from assets.automation import TRIGGERS, RetrainingPolicy
from assets.logic.retraining_times import earliest_begin, latest_possible, shown, spoken
from assets.logic.retraining_values import Answer, Decision, Evidence, Missing, PastDecision, RunStatus
from assets.logic.wording import capital

__all__ = ["FAILED", "STALE", "Answer", "Decision", "Evidence", "Missing", "PastDecision", "RunStatus", "decide"]

STALE: Final = "/stale"
FAILED: Final = "/failed"
"""Endings of an evidence id under which it is on record that no decision is taken on the evidence, and why."""


def decide(
    evidence: Sequence[Evidence | Missing], history: Sequence[PastDecision], policy: RetrainingPolicy, now: datetime
) -> Decision | None:
    """The next thing to put on record, or None if nothing fired that was not answered yet, or waits.

    To be asked again with the decision added to `history` until it says `retrain` or None: what is refused and what is
    begun are rows of their own.

    Args:
        evidence: At most one per trigger, any order. A trigger that is left out is not decided on.
        history: All decisions on record, in the order in which they were put there.
        policy: Of the use case.
        now: The present (UTC).

    Raises:
        ValueError: If a trigger is given twice, or `now` names no time zone.
    """
    if now.tzinfo is None:
        raise ValueError(f"now is {now}, which names no time zone")
    given = sorted(evidence, key=lambda e: TRIGGERS.index(e.trigger))
    triggers = [e.trigger for e in given]
    if len(set(triggers)) < len(triggers):
        raise ValueError(f"a trigger is given twice: {triggers}")
    case = _Case(given=tuple(given), history=tuple(history), policy=policy, now=now)
    for rule in (case.unusable, case.passed, case.not_a_trigger, case.failed_before, case.learnt_already):
        if (decision := rule()) is not None:
            return decision
    return case.begin_or_wait()


@dataclass(frozen=True, kw_only=True)
class _Case:
    """The arguments of one decision; each method applies one rule and says None where it does not apply."""

    given: tuple[Evidence | Missing, ...]
    history: tuple[PastDecision, ...]
    policy: RetrainingPolicy
    now: datetime

    def unusable(self) -> Decision | None:
        """Missing, stale, or of another time than the clock: no decision is taken on it, once on record."""
        marks = {(e.id if isinstance(e, Missing) else e.id + STALE): e for e in self.given if self._why_unusable(e)}
        new = {mark: e for mark, e in marks.items() if mark not in self._last and e.trigger in self.policy.triggers}
        reasons = [f"No decision is taken on {_named(e)}: {self._why_unusable(e)}" for e in new.values()]
        return self._made("no", list(new.values()), reasons, list(new))

    def passed(self) -> Decision | None:
        """What waited and does not hold any more is answered, so that it waits for nobody."""
        found = {
            past: e
            for e in self._usable
            for past, row in self._last.items()
            if row.answer == "wait" and _trigger(past) == e.trigger and not (e.fired and past == e.id)
        }
        reasons = [f"What waited has passed ({past}). {e.why}" for past, e in found.items()]
        return self._made("no", list(found.values()), reasons, list(found))

    def not_a_trigger(self) -> Decision | None:
        """What the policy does not count is a warning."""
        found = [e for e in self._open if e.trigger not in self.policy.triggers]
        return self._made("no", found, [f"{e.why} By the policy, {_named(e)} only warns." for e in found])

    def failed_before(self) -> Decision | None:
        """A retraining that failed for good is reported, and not begun again for the same reason."""
        found = [
            (e, row)
            for e in self._usable
            if e.fired and (row := self._last.get(e.id)) and row.answer == "retrain" and row.run_status == "failed"
            if e.id + FAILED not in self._last
        ]
        reasons = [
            f"The retraining for {_named(e)} ({row.id}) failed, after all its retries. {e.id} starts no other one: "
            "mend the cause and train by hand, or wait for new evidence."
            for e, row in found
        ]
        return self._made("no", [e for e, _ in found], reasons, [e.id + FAILED for e, _ in found])

    def learnt_already(self) -> Decision | None:
        """Evidence from before a retraining that has succeeded since is answered by it."""
        done = [p for p in self.history if p.answer == "retrain" and p.run_status == "succeeded"]
        by = {e.id: p for e in self._open for p in done if e.observed_at <= p.decided_at <= self.now}
        found = [e for e in self._open if e.id in by]
        reasons = [f"{e.why} Retraining {by[e.id].id} began after that was observed, and answers it." for e in found]
        return self._made("no", found, reasons)

    def begin_or_wait(self) -> Decision | None:
        """All that is open makes one retraining, now or as soon as it may begin."""
        if all(self._is_waiting(e) for e in self._open):
            return None
        times = latest_possible([p.decided_at for p in self.history], self.now)
        began = [(at, p.decided_at) for at, p in zip(times, self.history, strict=True) if p.answer == "retrain"]
        whys = [e.why for e in self._open]
        newest, told = max(began, default=(self.now, self.now))
        if newest != told or any(p.decided_at > self.now for p in self.history):
            whys.append("The clock was set back: what it dated wrongly on record counts as late as it can have been.")
        if under_way := [p.id for p in self.history if p.is_under_way]:
            reasons = [*whys, f"Retraining {under_way[-1]} is under way; this is taken up again when that has ended."]
            return self._made("wait", self._open, reasons)
        earliest, delays = earliest_begin([at for at, _ in began], self.policy, self.now)
        if delays:
            reasons = [*whys, f"It waits until {shown(earliest)}: {', and '.join(delays)}."]
            return self._made("wait", self._open, reasons, not_before=earliest)
        return self._made("retrain", self._open, [*whys, "Nothing holds a retraining back: it begins."])

    @cached_property
    def _last(self) -> dict[str, PastDecision]:
        """The last decision on each evidence id."""
        return {name: past for past in self.history for name in past.evidence_ids}

    @cached_property
    def _usable(self) -> list[Evidence]:
        return [e for e in self.given if isinstance(e, Evidence) and not self._why_unusable(e)]

    @cached_property
    def _open(self) -> list[Evidence]:
        """What fired and has no answer yet."""
        return [e for e in self._usable if e.fired and not self._is_answered(e)]

    def _is_answered(self, evidence: Evidence) -> bool:
        """Whether it needs no other answer; a no of the future is none, as the clock that gave it was wrong."""
        last = self._last.get(evidence.id)
        return last is not None and (last.answer == "retrain" or (last.answer == "no" and last.decided_at <= self.now))

    def _why_unusable(self, given: Evidence | Missing) -> str | None:
        if isinstance(given, Missing):
            return given.why
        age, limit = self.now - given.observed_at, self.policy.stale_after
        if age > limit:
            return f"It is of {shown(given.observed_at)}, and older than {spoken(limit)}. {given.why}"
        if -age > limit:
            return f"It is of {shown(given.observed_at)}, which the clock has not reached yet. {given.why}"
        return None

    def _is_waiting(self, evidence: Evidence) -> bool:
        """Whether a decision on it stands, and it is not time to take it up again."""
        last = self._last.get(evidence.id)
        if last is None or last.decided_at > self.now:
            return False
        if last.not_before is None:
            return any(p.is_under_way for p in self.history)
        return self.now < last.not_before

    def _made(
        self,
        answer: Answer,
        about: Sequence[Evidence | Missing],
        reasons: Sequence[str],
        ids: Sequence[str] | None = None,
        not_before: datetime | None = None,
    ) -> Decision | None:
        if not about:
            return None
        names = sorted(ids or [e.id for e in about])
        # The length of the record makes it unique even where a clock that was set back shows the same second again.
        digest = hashlib.sha256(repr((answer, names, len(self.history))).encode()).hexdigest()[:8]
        return Decision(
            id=f"{self.now:%Y%m%dT%H%M%S}-{digest}",
            answer=answer,
            triggers=tuple(t for t in TRIGGERS if t in {e.trigger for e in about}),
            reasons=tuple(capital(reason) for reason in reasons),
            not_before=not_before,
            evidence_ids=tuple(names),
        )


def _trigger(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


def _named(evidence: Evidence | Missing) -> str:
    return evidence.trigger.replace("_", " ")
