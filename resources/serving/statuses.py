"""What is loaded in one server process, as its threads see it: replaced as a whole, never changed.

Belongs here: the status, and which version answers an entity by it. Does not belong here: how it comes about
(`deployments.py`).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from resources.serving.guardrails import Verdict
from resources.serving.routing import is_beside
from resources.serving.service import Scorer
from resources.serving.states import Beside, Mode, Target

Phase = Literal["waiting", "loading", "ready", "failed"]


@dataclass(frozen=True, kw_only=True)
class Live:
    """A version that is loaded and may answer requests."""

    target: Target
    scorer: Scorer
    loaded_at: datetime
    load_seconds: float


@dataclass(frozen=True, kw_only=True)
class Companion:
    """A version beside the live one, and its rollout."""

    live: Live
    rollout: Beside

    @cached_property
    def mode(self) -> Mode:
        """Canary, A/B or shadow."""
        return self.rollout.plan.mode

    @cached_property
    def share(self) -> float:
        """Of all entities that meet it."""
        return self.rollout.share

    @cached_property
    def salt(self) -> bytes:
        """Which entities these are."""
        return self.rollout.salt


@dataclass(frozen=True)
class Pick:
    """Which version answers, and as what."""

    live: Live
    mode: Literal["live", "canary", "ab"]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A version that was asked for and did not go live. `target` is None if the target itself could not be read."""

    target: Target | None
    reason: str
    failed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is live and how the target stands; replaced as a whole, so that a reader never sees half a change.

    Attributes:
        state: `waiting` for a first target, `loading` one, `ready` when all that is asked for is there, `failed` when
            it is not going to be; whatever is live goes on answering in all of them.
        beside: None as long as it is not loaded here.
        previous: Loaded for an instant way back.
        failure: The last one, kept after a later success until the next failure.
        verdict: The last one on the rollout under way; None in workers that do not judge.
    """

    state: Phase = "waiting"
    live: Live | None = None
    beside: Companion | None = None
    previous: Live | None = None
    failure: Failure | None = None
    verdict: Verdict | None = None

    def held(self, target: Target) -> Live | None:
        """What is loaded for that target already."""
        loaded = (self.live, None if self.beside is None else self.beside.live, self.previous)
        return next((v for v in loaded if v is not None and v.target.deployment == target.deployment), None)

    def numbered(self, number: int) -> Live | None:
        """The live version or the one beside it, if it has that number: for questions to one version by name."""
        loaded = (self.live, None if self.beside is None else self.beside.live)
        return next((v for v in loaded if v is not None and v.target.number == number), None)

    def pick(self, key: bytes) -> Pick:
        """Which version answers about the entity with this key (`routing.entity_key`).

        Raises:
            LookupError: If no version is live.
        """
        live, other = self._picks
        beside = self.beside
        if other is not None and beside is not None and is_beside(key, beside.salt, beside.share):
            return other
        return live

    @property
    def shadow(self) -> Live | None:
        """A version to be asked as well, its answer discarded; see `is_shadowed` for its share."""
        beside = self.beside
        return beside.live if beside is not None and beside.mode == "shadow" else None

    def is_shadowed(self, key: bytes) -> bool:
        """Whether the shadow is to be asked about the entity with this key."""
        beside = self.beside
        return beside is not None and beside.mode == "shadow" and is_beside(key, beside.salt, beside.share)

    @cached_property
    def _picks(self) -> tuple[Pick, Pick | None]:
        if self.live is None:
            raise LookupError("no version is live")
        beside = self.beside
        if beside is None or beside.mode not in ("canary", "ab"):
            return Pick(self.live, "live"), None
        return Pick(self.live, "live"), Pick(beside.live, "canary" if beside.mode == "canary" else "ab")
