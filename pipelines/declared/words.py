"""Words of a declaration that YAML has no type for: lengths of time, owners, names near to a wrong one.

Belongs here: from a text to a value and back. Does not belong here: which field holds one (`schema.py`).
"""

import difflib
import re
from collections.abc import Iterable
from datetime import time, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "min": 60, "s": 1}
"""Units of a length of time, in seconds, longest first."""
_PART: Final = r"\d+ ?(?:w|d|h|min|s)"
LENGTH: Final = rf"^{_PART}(?: {_PART})*$"
_CLOCK: Final = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
HOURS: Final = rf"^{_CLOCK} ?- ?{_CLOCK}$"


class Declared(BaseModel):
    """A part of a declaration: other fields are refused, and nothing changes it. Docstrings become the JSON schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True)


def length(text: object) -> timedelta:
    """A length of time such as `24h`, `7d`, `30min` or `1d 12h`.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str) or not re.fullmatch(LENGTH, text.strip()):
        raise ValueError(f"{text!r} is no length of time; write one such as 30min, 24h, 7d, 2w or '1d 12h'")
    parts = re.findall(r"(\d+) ?(w|d|h|min|s)", text)
    return timedelta(seconds=sum(int(number) * UNITS[unit] for number, unit in parts))


def written(time: timedelta) -> str:
    """The same as it is written, in the greatest unit below a week that divides it: `2d`, `36h`, `0h`."""
    seconds = int(time.total_seconds())
    unit = next(u for u, size in UNITS.items() if u != "w" and seconds % size == 0) if seconds else "h"
    return f"{seconds // UNITS[unit]}{unit}"


def hours(text: object) -> tuple[time, time]:
    """A span of the day such as `07:00-09:00`, from and until; `22:00-06:00` spans midnight.

    Raises:
        ValueError: If it is none, or holds nothing.
    """
    if isinstance(text, tuple):
        return text
    if not isinstance(text, str) or not re.fullmatch(HOURS, text.strip()):
        raise ValueError(f"{text!r} is no span of the day; write one such as 07:00-09:00, or 22:00-06:00 over midnight")
    first, until = (time.fromisoformat(clock.strip().rjust(5, "0")) for clock in text.split("-"))
    if first == until:
        raise ValueError(f"{text!r} ends when it begins; leave the field out for no such hours")
    return first, until


Length = Annotated[
    timedelta,
    BeforeValidator(length),
    PlainSerializer(written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": LENGTH, "examples": ["24h", "7d", "30min"]}),
]
Hours = Annotated[
    tuple[time, time],
    BeforeValidator(hours),
    PlainSerializer(lambda span: "-".join(f"{clock:%H:%M}" for clock in span), return_type=str),
    WithJsonSchema({"type": "string", "pattern": HOURS, "examples": ["07:00-09:00"]}),
]
Owner = Annotated[str, StringConstraints(pattern=r"^(team:[A-Za-z0-9_]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
"""As Dagster takes it: `team:sales`, or an address."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest known name as a question; what there is if none is near. For the end of a sentence."""
    listed = [str(k) for k in known]
    folded = {k.casefold(): k for k in reversed(listed)}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return f"there are {', '.join(repr(k) for k in listed[:20])}{more}" if listed else "there are none"
