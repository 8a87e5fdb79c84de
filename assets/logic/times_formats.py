"""Formats that one written time may have, read off its digits and separators.

Belongs here: from a text to the few formats that fit its shape. Does not belong here: which of them holds for a whole
column (`times_detection.py`), and reading by a format (`times.py`).
"""

import re
from typing import Final

_TAIL: Final = (
    r"(?:(?P<gap>[T ,]+)(?P<hour>\d{1,2})(?P<minute>:\d{2})?(?P<second>:\d{2})?(?P<fraction>\.\d+)?"
    r"(?P<blank> ?)(?P<half>[AaPp][Mm])?(?P<zone> ?(?:Z|[+-]\d{2}:?\d{2}))?)?$"
)
_NAME: Final = r"[A-Za-z]{3,9}"
_DATES: Final = tuple(
    (re.compile(r"^(?P<weekday>[A-Z][a-z]{2,8},? )?" + pattern + _TAIL), orders)
    for pattern, orders in (
        (r"\d{4}(?P<a>[-/. ])\d{1,2}(?P=a)\d{1,2}", ("%Y{a}%m{a}%d",)),
        (r"\d{1,2}(?P<a>[-/. ])\d{1,2}(?P=a)\d{4}", ("%d{a}%m{a}%Y", "%m{a}%d{a}%Y")),
        (r"\d{1,2}(?P<a>[-/.])\d{1,2}(?P=a)\d{2}", ("%d{a}%m{a}%y", "%m{a}%d{a}%y")),
        (rf"\d{{1,2}}(?P<a>[-/. ]+){_NAME}(?P<b>[-/. ,]+)\d{{4}}", ("%d{a}%B{b}%Y",)),
        (rf"\d{{1,2}}(?P<a>[-/. ]+){_NAME}(?P<b>[-/. ,]+)\d{{2}}", ("%d{a}%B{b}%y",)),
        (rf"{_NAME}(?P<a>[. ]+)\d{{1,2}}(?P<b>[, ]+)\d{{4}}", ("%B{a}%d{b}%Y",)),
        (rf"\d{{4}}(?P<a>[-/. ]+){_NAME}(?P<b>[-/. ]+)\d{{1,2}}", ("%Y{a}%B{b}%d",)),
        (r"\d{8}", ("%Y%m%d",)),
    )
)
_MONTHS: Final = (
    (re.compile(r"^\d{4}([-/.])\d{1,2}$"), "%Y{0}%m"),
    (re.compile(r"^\d{1,2}([-/.])\d{4}$"), "%m{0}%Y"),
    (re.compile(rf"^{_NAME}([-/ ]+)\d{{4}}$"), "%B{0}%Y"),
    (re.compile(rf"^\d{{4}}([-/ ]+){_NAME}$"), "%Y{0}%B"),
)
_PACKED: Final = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Digits alone, by their number."""
_SWAPPED: Final = str.maketrans({"d": "m", "m": "d"})


def formats_of(text: str) -> list[str]:
    """Formats (strptime's letters) that fit the shape of a text; several where the order of day and month is open.

    ISO 8601 with hyphens is not among them: `TimeSpec` reads it without a format.
    """
    if text.isdigit() and len(text) in _PACKED:
        return [_PACKED[len(text)]]
    found = []
    for pattern, orders in _DATES:
        if match := pattern.match(text):
            weekday = match["weekday"]
            before = "" if weekday is None else "%A, " if "," in weekday else "%A "
            found += [before + order.format_map(match.groupdict()) + _clock_format(match) for order in orders]
    return found + [form.format(match[1]) for pattern, form in _MONTHS if (match := pattern.match(text))]


def other_order(form: str) -> str | None:
    """The same format with day and month in the other order; None where they cannot be mistaken for one another."""
    is_open = "%d" in form and "%m" in form and not form.startswith("%Y")
    return re.sub(r"%[dm]", lambda token: token[0].translate(_SWAPPED), form) if is_open else None


def _clock_format(match: re.Match[str]) -> str:
    if match["hour"] is None:
        return ""
    letter = "%I" if match["half"] else "%H"
    form = match["gap"] + letter + (":%M" if match["minute"] else "") + (":%S" if match["second"] else "")
    form += "%.f" if match["fraction"] else ""
    form += match["blank"] + "%p" if match["half"] else ""
    return form + ("%#z" if match["zone"] else "")
