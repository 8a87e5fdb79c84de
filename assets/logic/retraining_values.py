"""Evidence for a retraining, and decisions about it, as values.

Belongs here: what both are made of. Does not belong here: the rules between them (`retraining.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from assets.automation import Trigger

Answer = Literal["retrain", "wait", "no"]
RunStatus = Literal["none", "in_flight", "succeeded", "failed"]
"""Of the run that a decision asked for. `in_flight` includes one that failed and is about to be tried again."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one trigger says at one time.

    Attributes:
        id: Names the event behind it, beginning with the trigger and a slash, such as `drift/2013-09-14/churn/7`. An
            event is answered once: while it lasts, the id stays.
        fired: Whether it asks for a retraining.
        why: A full sentence for people, fired or not.
        observed_at: When that was found out (UTC).
        link: Where a person reads more.
        facts: The figures behind the sentence.
    """

    trigger: Trigger
    id: str
    fired: bool
    why: str
    observed_at: datetime
    link: str | None = None
    facts: Mapping[str, str | float | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_id(self.trigger, self.id)
        if self.observed_at.tzinfo is None:
            raise ValueError(f"evidence {self.id} was observed at {self.observed_at}, which names no time zone")


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What a trigger should have said and did not, and why; `id` as of `Evidence`."""

    trigger: Trigger
    id: str
    why: str

    def __post_init__(self) -> None:
        _require_id(self.trigger, self.id)


@dataclass(frozen=True, kw_only=True)
class PastDecision:
    """A decision on record, and what became of its run (`none` if it asked for none, or there is none yet)."""

    id: str
    decided_at: datetime
    answer: Answer
    triggers: tuple[Trigger, ...]
    evidence_ids: tuple[str, ...]
    not_before: datetime | None
    run_status: RunStatus

    @property
    def is_under_way(self) -> bool:
        """A run was asked for and has not come to its end."""
        return self.answer == "retrain" and self.run_status in ("none", "in_flight")


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do about evidence.

    Attributes:
        reasons: Full sentences for people.
        not_before: Of a `wait`: when it is taken up again (UTC); None: as soon as the run under way has ended.
        evidence_ids: What is answered by it, or waits.
    """

    id: str
    answer: Answer
    triggers: tuple[Trigger, ...]
    reasons: tuple[str, ...]
    not_before: datetime | None
    evidence_ids: tuple[str, ...]


def _require_id(trigger: Trigger, name: str) -> None:
    if not name.startswith(f"{trigger}/"):
        raise ValueError(f"evidence of {trigger} is called {name!r}; an id begins with its trigger and a slash")
