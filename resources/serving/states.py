"""The target state of an endpoint: which version is live, which is beside it at what share, and what led there.

Belongs here: the state as values, and as JSON. Does not belong here: how one state follows from another (`rollout.py`),
and the file it is kept in (`target.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from resources.errors import EndpointError
from resources.serving.guardrails import Guardrails

Mode = Literal["immediate", "canary", "shadow", "ab"]
Change = Literal["deployed", "refreshed", "begun", "next step", "finished", "rolled back", "called off"]

DIGEST: Final = 16
"""Hex digits of the sha256 that name a content; 64 bits tell the few versions of one model apart."""
STEPS: Final = (0.05, 0.25, 0.5, 1.0)
"""Shares of a canary: few meet what may be bad, and each step is at most five times as many as were well before."""
_DEFAULTS: Final[Mapping[Mode, tuple[float, ...]]] = {
    "immediate": (1.0,),
    "canary": STEPS,
    "shadow": (1.0,),
    "ab": (0.5,),
}
_MODEL: Final = re.compile(rf"(\d{{1,9}})-[0-9a-f]{{{DIGEST}}}")
_ONLINE: Final = re.compile(rf"[0-9a-f]{{{DIGEST}}}")
_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One version to be served with one snapshot of history.

    Attributes:
        number: Version number in the registry.
        model: Folder under `models/`.
        online: Folder under `online/`.
        requested_at: When it was asked for (ISO-8601, UTC); a repeated request is thereby told from the first.
    """

    number: int
    model: str
    online: str
    requested_at: str

    def __post_init__(self) -> None:
        """Refuse whatever could lead out of the state folder."""
        model = _MODEL.fullmatch(self.model) if isinstance(self.model, str) else None
        if model is None or type(self.number) is not int or int(model[1]) != self.number:
            raise EndpointError(f"the target names model {self.model!r} for version {self.number!r}: they do not agree")
        if not isinstance(self.online, str) or not _ONLINE.fullmatch(self.online):
            raise EndpointError(f"the target names the snapshot {self.online!r}, which cannot be one")
        if not isinstance(self.requested_at, str):
            raise EndpointError(f"the target was requested at {self.requested_at!r}, which is no time")

    @property
    def deployment(self) -> str:
        """Equal for two targets exactly if they serve the same model with the same history."""
        return f"{self.model}/{self.online}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a version is to take over.

    Attributes:
        steps: Growing shares; empty for those of the mode. A canary ends with 1.0, the others have one share.
        guardrails: What each step is judged by.
        advance: Who goes on to the next step: the server by itself, or whoever orchestrates it. Back goes the server.
    """

    mode: Mode = "immediate"
    steps: tuple[float, ...] = ()
    guardrails: Guardrails = field(default_factory=Guardrails)
    advance: Literal["server", "orchestrator"] = "server"

    def __post_init__(self) -> None:
        """Fill in the steps of the mode.

        Raises:
            EndpointError: If mode and steps do not go together.
        """
        if self.mode not in _DEFAULTS or self.advance not in ("server", "orchestrator"):
            raise EndpointError(f"there is no rollout of mode {self.mode!r} that is advanced by {self.advance!r}")
        steps = tuple(self.steps) or _DEFAULTS[self.mode]
        object.__setattr__(self, "steps", steps)  # frozen: this is how a field is filled in
        if not all(0.0 < share <= 1.0 for share in steps) or list(steps) != sorted(set(steps)):
            raise EndpointError(f"the steps of a rollout are growing shares above 0 and up to 1, and not {steps}")
        if self.mode == "canary" and (steps[-1] != 1.0 or len(steps) == 1):
            raise EndpointError(f"a canary begins with a share and ends with 1.0, and {steps} does not")
        if self.mode != "canary" and len(steps) > 1:
            raise EndpointError(f"only a canary has steps; a rollout of mode {self.mode} has one share")


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A version on its way.

    Attributes:
        id: Of the rollout, 32 hex digits; the salt of its routing as well.
        step: Which of the plan's steps, from 0.
        step_at: When it began (ISO-8601, UTC).
    """

    target: Target
    plan: Plan
    id: str
    step: int
    step_at: str

    def __post_init__(self) -> None:
        """Refuse a rollout that cannot be.

        Raises:
            EndpointError: If its id names nothing, or its plan has no such step.
        """
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise EndpointError(f"a rollout is called {self.id!r}, which is no name of one")
        if type(self.step) is not int or not 0 <= self.step < len(self.plan.steps):
            raise EndpointError(f"a rollout is at step {self.step!r} of {len(self.plan.steps)}")

    @property
    def share(self) -> float:
        """Of all entities that meet this version."""
        return self.plan.steps[self.step]

    @property
    def salt(self) -> bytes:
        """For `routing.is_beside`."""
        return bytes.fromhex(self.id)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One change of what is live, or beside it, as the history keeps it.

    Attributes:
        revision: Of the state it led to.
        at: When (ISO-8601, UTC).
        from_version: Live before; None if nothing was.
        to_version: Live afterwards.
        version: The one it is about.
        beside: The version beside the live one afterwards.
        share: Of all entities that meet `version` afterwards.
        rollout: Its id; None for what needed none.
        by: Who or what asked for it.
    """

    revision: int
    at: str
    change: Change
    from_version: int | None
    to_version: int
    version: int
    beside: int | None
    share: float
    mode: Mode
    rollout: str | None
    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class State:
    """All that the server is to hold.

    Attributes:
        live: Answers everybody whom `beside` does not answer.
        beside: On its way; None if no rollout is under way.
        previous: Live before, and loaded still; None if there is nothing to go back to.
        revision: Grows by one with every change.
        event: What led here; None in a file of before there were rollouts.
    """

    live: Target
    beside: Beside | None = None
    previous: Target | None = None
    revision: int = 0
    event: Event | None = None

    @property
    def answering(self) -> list[Target]:
        """The live one, and the one beside it if there is one."""
        return [self.live] if self.beside is None else [self.live, self.beside.target]

    @property
    def targets(self) -> list[Target]:
        """All that must not be taken away."""
        return self.answering if self.previous is None else [*self.answering, self.previous]

    def holds(self, target: Target) -> bool:
        """Whether exactly this is live or beside already."""
        return any(answering.deployment == target.deployment for answering in self.answering)


def to_json(state: State) -> dict[str, Any]:
    """A state as the target file holds it: the live target's fields, and beside them what there is besides."""
    told = asdict(state)
    live, more = told.pop("live"), {name: value for name, value in told.items() if value}
    return {**live, **more}


def from_json(told: Mapping[str, Any]) -> State:
    """The state of a target file, also of one from before there were rollouts.

    Raises:
        EndpointError, TypeError, KeyError, ValueError: If it is none.
    """
    told = dict(told)
    more = {name: told.pop(name, None) for name in ("beside", "previous", "revision", "event")}
    beside, previous, event = more["beside"], more["previous"], more["event"]
    return State(
        live=Target(**told),
        beside=None if beside is None else _beside(dict(beside)),
        previous=None if previous is None else Target(**previous),
        revision=int(more["revision"] or 0),
        event=None if event is None else Event(**event),
    )


def _beside(told: dict[str, Any]) -> Beside:
    plan = dict(told.pop("plan"))
    rails, steps = Guardrails(**plan.pop("guardrails")), tuple(plan.pop("steps"))
    return Beside(target=Target(**told.pop("target")), plan=Plan(**plan, steps=steps, guardrails=rails), **told)
