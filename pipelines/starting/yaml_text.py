"""YAML as a person would write it: short lines, comments that say why.

Belongs here: from values to text. Does not belong here: what is written (`writing.py`).
"""

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from pipelines.declared.words import written

WIDTH: Final = 112
PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*|\d+(?:w|d|h|min|s)")
WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
"""Texts that some reader of YAML takes for something else."""


def scalar(value: object) -> str:
    """One value; a text stands in quotes unless every reader of YAML takes it for the same text."""
    if isinstance(value, timedelta):
        return written(value)
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in WORDS
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)


def flow(value: object) -> str:
    """A value on one line: `{type: number, min: 0}`, `[a, b]`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def comment(sentence: str, indent: int = 0) -> list[str]:
    """A sentence as lines of comment."""
    before = " " * indent + "# "
    text = " ".join(sentence.split())
    return textwrap.wrap(
        text, WIDTH, initial_indent=before, subsequent_indent=before, break_long_words=False, break_on_hyphens=False
    )


def entry(name: str, value: object, *, why: str = "", indent: int = 0) -> list[str]:
    """One field, with its reason above it."""
    above = comment(why, indent) if why else []
    return [*above, f"{' ' * indent}{scalar(name)}: {flow(value)}"]


def block(name: str, values: Mapping[str, object], *, why: str = "") -> list[str]:
    """A field that holds fields, each on a line of its own."""
    lines = [*(comment(why) if why else []), f"{name}:"]
    for key, value in values.items():
        lines += entry(key, value, indent=2)
    return lines


def items(name: str, values: Sequence[object], *, indent: int = 0) -> list[str]:
    """A field that holds a list, each item on a line of its own."""
    return [f"{' ' * indent}{name}:", *(f"{' ' * indent}  - {flow(value)}" for value in values)]
