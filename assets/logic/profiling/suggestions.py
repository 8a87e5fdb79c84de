"""What a profile suggests: expectations on the cleaned table, and the part each column may play.

Belongs here: proposals for a person to change. Does not belong here: measuring (`profile.py`, `leaks.py`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final, Literal

from assets.logic.profiling.column_profile import LISTED, ColumnProfile
from assets.logic.profiling.profile import Profile
from assets.logic.profiling.suspicions import LeakWarning
from assets.logic.profiling.values import quoted
from assets.tables import Expectation, Severity

Role = Literal["input", "known_later", "ignored"]

MANY_CATEGORIES: Final = 1_000
"""From here on a category is better used as a rate or a frequency than as it stands."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The part a column may play, and why, in one sentence."""

    column: str
    role: Role
    reason: str


def suggest_roles(profile: Profile, leaks: Sequence[LeakWarning] = ()) -> list[Suggestion]:
    """One suggestion for each column but the target, in the order of the table.

    A column with a warning is `known_later` until a person says otherwise; free text, ids that name one row each,
    constants and empty columns are `ignored`.
    """
    warned = {w.column: w for w in leaks}
    found = []
    for column in profile.columns:
        if column.name == profile.target.name:
            continue
        if warning := warned.get(column.name):
            found.append(Suggestion(column=column.name, role="known_later", reason=warning.sentence))
        else:
            role, reason = _role(column)
            found.append(Suggestion(column=column.name, role=role, reason=reason))
    return found


def _role(column: ColumnProfile) -> tuple[Role, str]:
    """The first of these that holds, from the plainest reason on."""
    name, many = repr(column.name), f"{column.distinct:,}"
    names_rows = column.is_counter or (column.kind == "identifier" and column.is_near_unique)
    cases: list[tuple[bool, Role, str]] = [
        (column.kind == "empty", "ignored", "is empty in all rows."),
        (
            column.is_constant,
            "ignored",
            f"is {quoted(column.examples[:1])} wherever it is filled: it tells nothing.",
        ),
        (column.kind == "text", "ignored", "is free text: it often tells the outcome, and no family here reads it."),
        (names_rows, "ignored", "differs in every row: it names a row and says nothing about the next one."),
        (column.kind == "identifier", "input", f"names something that comes back ({many} of them): it has a history."),
        (
            column.kind == "category" and column.distinct > MANY_CATEGORIES,
            "input",
            f"has {many} values: use its frequency or its rate rather than its value.",
        ),
        (column.misfit_rows > 0, "input", f"holds numbers and {column.misfit_rows:,} misfits, which count as missing."),
        (True, "input", f"holds values of kind {column.kind}, and nothing speaks against it."),
    ]
    return next((role, f"{name} {reason}") for holds, role, reason in cases if holds)


def suggest_expectations(profile: Profile) -> list[Expectation]:
    """Expectations that the profiled rows meet with room to spare, for Great Expectations on the cleaned table.

    Only what breaks the line is critical: no rows, and a key that is missing or repeats. Ranges are half a spread (of
    the middle 98 %) wider than what was seen; new categories are a warning.
    """
    found = [_expect("rows_are_there", "expect_table_row_count_to_be_between", {"min_value": 1}, "critical")]
    names = _check_names([c.name for c in profile.columns])
    never_null = "expect_column_values_to_not_be_null"
    for part in profile.key.columns:
        found.append(_expect(f"{names[part]}_is_always_there", never_null, {"column": part}, "critical"))
    found += _of_key(profile.key.columns)
    for column in profile.columns:
        if column.kind in ("empty", "text") or column.filled < 2:
            continue
        if not column.missing and column.name not in profile.key.columns:
            arguments = {"column": column.name, "mostly": 0.95}
            found.append(_expect(f"{names[column.name]}_is_reported", never_null, arguments, "warning"))
        found += _of_values(column, names[column.name])
    return found


def _of_key(key: tuple[str, ...]) -> list[Expectation]:
    if len(key) == 1:
        return [_expect("keys_are_unique", "expect_column_values_to_be_unique", {"column": key[0]}, "critical")]
    together: dict[str, object] = {"column_list": list(key)}
    return [_expect("keys_are_unique", "expect_compound_columns_to_be_unique", together, "critical")] if key else []


def _of_values(column: ColumnProfile, name: str) -> list[Expectation]:
    if column.quantiles and column.kind != "identifier" and not column.is_constant:
        low, high = float(column.minimum or 0), float(column.maximum or 0)
        room = (column.quantiles[0.99] - column.quantiles[0.01]) / 2 or (high - low) / 2
        digits = -floor(log10(room))
        unit = 10.0**-digits
        # What was never negative has a natural zero, and a value below it is an error however near.
        least = max(0.0, low - room) if low >= 0 else low - room
        bounds = {
            "min_value": round(floor(least / unit) * unit, max(digits, 0)),
            "max_value": round(ceil((high + room) / unit) * unit, max(digits, 0)),
        }
        arguments = {"column": column.name, **bounds, "mostly": 0.99}
        return [_expect(f"{name}_is_plausible", "expect_column_values_to_be_between", arguments, "warning")]
    if column.kind == "category" and 0 < len(column.categories) <= LISTED and not column.is_near_unique:
        arguments = {"column": column.name, "value_set": sorted(column.categories), "mostly": 0.95}
        return [_expect(f"{name}_has_known_values", "expect_column_values_to_be_in_set", arguments, "warning")]
    return []


def _expect(check: str, kind: str, arguments: Mapping[str, object], severity: Severity) -> Expectation:
    return Expectation(check=check, type=kind, arguments=arguments, severity=severity)


def _check_names(columns: Sequence[str]) -> dict[str, str]:
    """Column names as parts of check names: letters, digits and underscores, no two alike."""
    taken: dict[str, str] = {}
    for column in columns:
        base = re.sub(r"\W+", "_", column, flags=re.ASCII).strip("_").lower() or "column"
        name, n = base, 2
        while name in taken.values():
            name, n = f"{base}_{n}", n + 1
        taken[column] = name
    return taken
