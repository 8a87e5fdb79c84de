"""What a use case asks of its models: how data is split, which families are tried, what is good enough.

Belongs here: policies, plain values with safe defaults. Does not belong here: tables and features (`contracts.py`),
and how a policy is applied (`assets/logic`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal


class DeclarationError(ValueError):
    """A use case that cannot work; the message names the use case, the field and what to do."""


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """The last days of the known data are the test window, those before them validation, the rest training."""

    validation: timedelta
    test: timedelta

    def __post_init__(self) -> None:
        if self.validation < timedelta(days=2) or self.test < timedelta(days=2):
            raise DeclarationError(f"split: validation and test need at least 2 days each, got {self}")


@dataclass(frozen=True, kw_only=True)
class TrainerSpec:
    """One model family to train. `search_trials` 0 means: its default parameters, without a search."""

    family: Literal["logistic_regression", "catboost", "neural_network"]
    search_trials: int = 4
    search_rows: int = 40_000
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PromotionPolicy:
    """What a challenger must show on the test window before it goes live. Everything is on by default.

    Attributes:
        margin: Non-inferiority margin: how much worse (mean log loss per row) than the champion is still accepted.
        confidence: One-sided confidence of every interval used for a decision.
        leakage_ceiling: A ROC AUC above it means that the future leaked into the features.
        calibration_limit: Largest accepted expected calibration error (15 quantile bins).
        slice_margin: How much worse (mean log loss) than the base rate of the slice any slice may be.
        slice_rows: Slices with fewer test rows are reported but not judged.
        minimum_rows: Fewer labelled test rows decide nothing.
    """

    margin: float = 0.002
    confidence: float = 0.95
    leakage_ceiling: float = 0.80
    calibration_limit: float = 0.05
    slice_margin: float = 0.01
    slice_rows: int = 300
    minimum_rows: int = 1_000


def require_known(names: Sequence[str], known: Mapping[str, Any] | Sequence[str], where: str) -> None:
    """Refuse names that are not declared, saying which, where, and what would be allowed.

    Raises:
        DeclarationError: If any of `names` is not in `known`.
    """
    if unknown := [n for n in names if n not in known]:
        raise DeclarationError(f"{where}: {unknown} is not declared; known are {sorted(known)}")
