"""What a declaration says of how a new champion takes over at the endpoint.

Belongs here: fields, and their meaning for the JSON schema. Does not belong here: what follows from them
(`assets/policies.RolloutPolicy`, `resources/serving/guardrails.py`).
"""

from typing import Literal

from pydantic import Field

from pipelines.declared.words import Declared
from resources.serving.states import Mode


class Guardrails(Declared):
    """How much worse than the live version a new one may be: differences of shares, of which 1 tolerates anything."""

    errors: float = Field(default=0.01, ge=0, le=1)
    """Of rows that got no answer."""
    slow: float = Field(default=0.10, ge=0, le=1)
    """Of calls that are slow."""
    score: float = Field(default=0.05, ge=0, le=1)
    """Of rows above the live version's median score, either way."""
    spread: float = Field(default=0.05, ge=0, le=1)
    """Of rows outside the quartiles of the live version's scores, either way."""
    slowness: float = Field(default=1.5, gt=1)
    """Times the live version's median time that count as slow."""
    unnoticed_s: float = Field(default=0.001, ge=0)
    """A call faster than this, in seconds, is never slow."""
    false_alarm: float = Field(default=0.01, gt=0, lt=1)
    """Chance that a version no worse than tolerated is taken back, over all steps and guardrails."""
    step_rows: int = Field(default=1_000, ge=1)
    """Rows that each version has to answer before the next step."""
    step_seconds: float = Field(default=60.0, ge=0)
    """Seconds that a step lasts at least."""


class Rollout(Declared):
    """How a new champion takes over at the endpoint; see RolloutPolicy."""

    mode: Mode = "immediate"
    """immediate, canary (a share that grows), ab (a share until a person decides) or shadow (asked, and not heard)."""
    steps: tuple[float, ...] = ()
    """Shares of all entities, such as [0.05, 0.25, 1.0]; by default those of the mode."""
    guardrails: Guardrails = Guardrails()
    """What takes it back."""
    advance: Literal["server", "orchestrator"] = "server"
    """Who gives a canary its next share: the server, or Dagster's rollout sensor."""
    is_replacing: bool = True
    """Whether a newer champion takes the place of one that is still on its way."""
