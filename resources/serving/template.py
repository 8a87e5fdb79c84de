"""Requests of one caller differ in their values only: what is the same in all of them is compared, not parsed.

Belongs here: the bytes around the values. Does not belong here: what values may be (`reader.py`).

A template is made of the body of a request that was understood, by leaving places for its values. A body that fits has
the same structure as that one, since no place takes anything but one JSON value: so it is understood in the same way.
Bodies with a backslash make no template and fit none, so that nothing in them can be other than it looks.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

MAX_BYTES: Final = 16 * 1024
"""Of a body that becomes a template: a regular expression takes several times as much."""
MAX_HEAD: Final = 1024
_KEY: Final = b'"data"'
_VALUE: Final = rb"([^\]\\]+)"
"""Quick to find; whether it is one value is for the decoder to say."""
_DATA: Final = re.compile(rb'"data"\s*:\s*\[' + _VALUE + rb"\]")
_decode: Final[Callable[[bytes], Any]] = msgspec.json.Decoder().decode


class Template:
    """What is the same in all requests of one caller."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        """Take an expression with a group for each value."""
        self._fit = pattern.fullmatch

    def values(self, body: bytes) -> list[Any] | None:
        """The value of each tensor in the order of the template; None if the body has another form."""
        fitting = self._fit(body)
        if fitting is None:
            return None
        try:
            return list(map(_decode, fitting.groups()))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


def head_of(body: bytes) -> bytes:
    """What stands before the first value, or close before it; templates are found by it."""
    return body[: max(0, body.find(_KEY, 0, MAX_HEAD))]


def template_of(body: bytes, values: Sequence[Any]) -> Template | None:
    """The template of a body.

    Args:
        body: A request that was understood; JSON without other keys than those of the protocol.
        values: What was understood, one value for each tensor in their order.

    Returns:
        None if the values cannot be told from what is around them.
    """
    if len(body) > MAX_BYTES or b"\\" in body or body.count(_KEY) != len(values):
        return None
    places = [found.span(1) for found in _DATA.finditer(body)]
    if len(places) != len(values):
        return None
    starts, ends = [0, *(end for _, end in places)], [*(start for start, _ in places), len(body)]
    around = [re.escape(body[start:end]) for start, end in zip(starts, ends, strict=True)]
    template = Template(re.compile(_VALUE.join(around)))
    return template if template.values(body) == list(values) else None
