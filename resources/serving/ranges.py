"""What values of an input are usual, and what becomes of a request with another.

Belongs here: bounds and sets of values. Does not belong here: types (`values.py`), and what lands in the lake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

Otherwise = Literal["warn", "refuse"]
MOST_SAID = 10
"""Values that a message lists."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Usual values.

    Attributes:
        lowest, highest: Numbers that still belong to them; None: there is no such bound.
        allowed: All of them; None: any within the bounds.
        otherwise: A request with another value is answered, and the answer names the input (`warn`), or it is not
            answered (`refuse`).
    """

    lowest: float | None = None
    highest: float | None = None
    allowed: Sequence[str | float | bool] | None = None
    otherwise: Otherwise = "warn"

    def __post_init__(self) -> None:
        """Refuse bounds between which there is nothing."""
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise ValueError(f"a range from {self.lowest:g} to {self.highest:g} holds nothing")

    def __str__(self) -> str:
        """In a sentence that says what to send."""
        if self.allowed is not None:
            more = len(self.allowed) - MOST_SAID
            listed = ", ".join(str(value) for value in self.allowed[:MOST_SAID])
            return f"one of {listed}" + (f" and {more} more" if more > 0 else "")
        low, high = ("any" if bound is None else f"{bound:g}" for bound in (self.lowest, self.highest))
        return f"a number from {low} to {high}"

    def holds(self, value: Any) -> bool:
        """Whether a value is usual; None is, as it is no value."""
        if value is None:
            return True
        if self.allowed is not None and value not in self._allowed:
            return False
        return (self.lowest is None or value >= self.lowest) and (self.highest is None or value <= self.highest)

    def to_json(self) -> dict[str, Any]:
        """In the words of JSON schema."""
        said = {"minimum": self.lowest, "maximum": self.highest}
        known: dict[str, Any] = {key: bound for key, bound in said.items() if bound is not None}
        return known if self.allowed is None else known | {"enum": [*self.allowed]}

    @property
    def example(self) -> str | float | bool | None:
        """A usual value, if it can be told."""
        if self.allowed:
            return self.allowed[0]
        return self.highest if self.lowest is None else self.lowest

    @cached_property
    def _allowed(self) -> frozenset[str | float | bool]:
        return frozenset(self.allowed or ())
