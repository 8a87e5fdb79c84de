"""What a use case asks of its models: how data is split, which families are tried, what is good enough.

Belongs here: policies, plain values with safe defaults. Does not belong here: tables and features (`contracts.py`),
and how a policy is applied (`assets/logic`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from resources.errors import EndpointError
from resources.serving.guardrails import Guardrails
from resources.serving.states import Mode, Plan

Task = Literal["binary", "multiclass", "regression", "count"]
"""What kind of thing is predicted: a probability, one probability per class, a quantity, or a whole number from 0."""

Influence = Literal["no", "exclude", "explored"]
"""Whether answers of the endpoint change what comes of the rows asked about; see `Target.influenced_by_answers`."""

OTHER: Final = "(other)"
"""Of a multiclass task: every class that training saw too seldom to tell apart, and those never seen."""
INTERVAL: Final = 0.9
"""Share of the labels that the interval around a quantity or a count is to hold."""


class DeclarationError(ValueError):
    """A use case that cannot work; the message names the use case, the field and what to do."""


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """The last days with labels are the test window, those before them validation, the rest training.

    Attributes:
        gap: Days left out before the test window, so that the labels of the rows before it have arrived when it begins,
            as they will have when a model is trained for days to come: as long as labels are under way.
            Source: purging and embargo, López de Prado, "Advances in financial machine learning", 2018, chapter 7.
    """

    validation: timedelta
    test: timedelta
    gap: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.validation < timedelta(days=2) or self.test < timedelta(days=2):
            raise DeclarationError(f"split: validation and test need at least 2 days each, got {self}")
        if self.gap < timedelta(0):
            raise DeclarationError(f"split: gap cannot be negative, got {self.gap}")


@dataclass(frozen=True, kw_only=True)
class TrainerSpec:
    """One model family to train.

    Attributes:
        family: A name of `assets/trainers/families.py`, or `package.module:function` of a function that returns an
            unfitted scikit-learn estimator.
        search_trials: 0 means: its default parameters, without a search.
        search_rows: Rows per fold of the search, at most.
        training_rows: Training rows at most; of more, evenly many of every time are taken. Memory and time of a fit
            grow with its rows, what it learns from them much less.
        parameters: Fixed, and not searched.
    """

    family: str
    search_trials: int = 4
    search_rows: int = 40_000
    training_rows: int = 1_000_000
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromotionPolicy:
    """What a challenger must show on the test window before it goes live. Everything is on by default.

    Losses are those of the task: log loss in nats for probabilities, the mean absolute error in the target's unit for a
    quantity, Poisson deviance for a count. A limit that is None has the default of its task (`limits`).

    Attributes:
        margin: Non-inferiority margin: how much worse (mean loss per row) than the champion is still accepted. None:
            0.002 for log loss, 1 % of the champion's own loss for other losses.
        confidence: One-sided confidence of every interval used for a decision.
        leakage_ceiling: A score above it means that the future leaked into the features: ROC AUC for classes, R2 for
            quantities and counts. None: 0.99 for AUC and 0.999 for R2, which only a leak reaches. A use case that knows
            what an honest model can reach declares a lower one.
        calibration_limit: Largest accepted expected calibration error (15 quantile bins); for quantities and counts,
            how far the share of labels inside their intervals may be from what the intervals promise. None: 0.05 and
            0.1. On few rows, as much as a perfectly calibrated model is off by chance.
        slice_margin: How much worse (mean loss) than the constant that is best for the slice any slice may be. None:
            0.01 for log loss, 5 % of that constant's loss for other losses, but not under 1 % of the loss of the best
            constant of all rows.
        slice_rows: Slices with fewer test rows are reported but not judged.
        minimum_rows: Fewer labelled test rows decide nothing.
    """

    margin: float | None = None
    confidence: float = 0.95
    leakage_ceiling: float | None = None
    calibration_limit: float | None = None
    slice_margin: float | None = None
    slice_rows: int = 300
    minimum_rows: int = 1_000


@dataclass(frozen=True, kw_only=True)
class RolloutPolicy:
    """How a new champion takes over at the endpoint.

    Attributes:
        mode: `immediate`: as soon as it is loaded. `canary`: for a share of all entities that grows by `steps`, as long
            as no guardrail is met. `ab`: for one share until a person decides. `shadow`: asked as well, and not heard.
        steps: Shares; empty: those of the mode.
        guardrails: What takes it back.
        advance: Who gives a canary its next share: the server by itself, which needs nothing else up, or Dagster's
            rollout sensor. What takes it back is the server in both.
        is_replacing: A newer champion takes the place of one that is still on its way; else it is refused until then.
            On by default: the older one is not wanted any more.
    """

    mode: Mode = "immediate"
    steps: tuple[float, ...] = ()
    guardrails: Guardrails = field(default_factory=Guardrails)
    advance: Literal["server", "orchestrator"] = "server"
    is_replacing: bool = True

    def __post_init__(self) -> None:
        try:
            _ = self.plan
        except EndpointError as error:
            raise DeclarationError(f"rollout: {error}") from error

    @property
    def plan(self) -> Plan:
        """The same, as the endpoint takes it."""
        return Plan(mode=self.mode, steps=self.steps, guardrails=self.guardrails, advance=self.advance)


def require_known(names: Sequence[str], known: Mapping[str, Any] | Sequence[str], where: str) -> None:
    """Refuse names that are not declared, saying which, where, and what would be allowed.

    Raises:
        DeclarationError: If any of `names` is not in `known`.
    """
    if unknown := [n for n in names if n not in known]:
        raise DeclarationError(f"{where}: {unknown} is not declared; known are {sorted(known)}")
