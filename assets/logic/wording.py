"""How names and numbers become words for people."""

import math
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["score", "share", "target"]
"""A score has four decimals, a share is a percentage, and what is in the target's unit has four significant digits."""


def capital(text: str) -> str:
    """The text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def number(value: float, unit: Unit, *, is_coarse: bool = False) -> str:
    """A number for a person.

    Args:
        value: One that is not finite, such as the end of an interval that nothing bounds, stays `inf`.
        unit: How it is written.
        is_coarse: One digit less, for the ends of an interval.
    """
    less = 1 if is_coarse else 0
    if unit == "score":
        return f"{value:.{4 - less}f}"
    if unit == "share":
        return f"{value:.1%}"
    if not math.isfinite(value):
        return f"{value}"
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:,.{min(max(4 - less - before, 0), 8)}f}"
