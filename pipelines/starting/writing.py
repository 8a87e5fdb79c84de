"""The declaration that a guided start writes: what was found, as fields, with the reasons as comments.

Belongs here: from findings to the text of `use_case.yaml`. Does not belong here: looking at data (`findings.py`), and
the words of YAML (`yaml_text.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from assets.logic.profiling.column_profile import ColumnKind, ColumnProfile
from assets.logic.profiling.suggestions import suggest_expectations
from pipelines.declared.reading import parse
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.schema_tables import ColumnType
from pipelines.starting.features_text import feature_lines
from pipelines.starting.findings import Findings
from pipelines.starting.yaml_text import block, comment, entry, items

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../declared/use_case.schema.json"
TYPES: Final[Mapping[ColumnKind, ColumnType]] = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "time": "time",
    "category": "text",
    "text": "text",
    "identifier": "text",
    "empty": "text",
}
MOST_EXPECTATIONS: Final = 200
SOME_MISFITS: Final = 0.01
"""From this share on, values that are no numbers are how the source says "none", not slips."""


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Where the rows come from, as the field `source` says it, and what the table is called."""

    source: Mapping[str, Any]
    table: str
    told: str


def use_case_text(name: str, origin: Origins, found: Findings) -> str:
    """The text of `use_case.yaml`."""
    head = [*_head(name, origin, found), *_columns(found)]
    declared = parse("\n".join(head), "the declaration").declaration
    body = [
        *feature_lines(declared, found),
        *_judging(declared, found),
        *_expectations(declared, found),
    ]
    return "\n".join([*head, *body]) + "\n"


def _head(name: str, origin: Origins, found: Findings) -> Iterator[str]:
    target, time, cutting = found.profile.target, found.time, found.cutting
    yield SCHEMA_LINE
    yield from comment(f"Written by `throughline new {name}`; yours from now on. `throughline check {name}` tries it.")
    yield ""
    yield from entry("description", f"Predicts {target.name}.")
    yield from entry("owner", "team:data")
    yield from entry("table", origin.table, why=f"{found.sample.rows:,} rows of {origin.told}.")
    yield from block("source", origin.source)
    yield ""
    reading = f"{time.share:.1%} of the rows parse, {time.first:%Y-%m-%d} to {time.last:%Y-%m-%d}. {time.note}"
    yield from block("time", _time(found), why=reading)
    yield from block(
        "partitions",
        {"every": cutting.every, "start": cutting.start},
        why="What arrives is taken in by the partition. Earlier rows go to quarantine.",
    )
    yield from entry("key", found.key.columns, why=found.key.reason)
    yield ""
    why = f"{target.task}, because {target.reason}. {' '.join(target.notes)} known_after: how long after the time of a "
    why += "row its outcome is known. Said too short, the past of the target knows what nobody knew."
    yield from block("target", _target(found), why=why)
    yield from _predict(found)
    extra = sorted({t for c in found.profile.columns for t in c.null_texts} - _defaults("null_texts"))
    if extra:
        yield from entry("null_texts", [*_defaults("null_texts"), *extra], why="Texts that stand for no value.")
    yield ""


def _defaults(field: str) -> set[str]:
    return set(UseCaseDeclaration.model_fields[field].default)


def _time(found: Findings) -> dict[str, object]:
    spec = found.time.spec
    columns = dict(spec.columns)
    told: dict[str, object] = {"column": columns["instant"]} if "instant" in columns else {"columns": columns}
    names = {c.name for c in found.profile.columns}
    if "columns" in told and "event_time" in names:
        told["name"] = "row_time"
    told |= {"format": spec.format} if spec.format else {}
    told |= {"epoch": spec.epoch} if spec.epoch else {}
    return told | {"zone": spec.zone}


def _target(found: Findings) -> dict[str, object]:
    target = found.profile.target
    told: dict[str, object] = {"column": target.name, "task": target.task}
    if target.positive is not None:
        told["positive"] = target.positive
    return told | {"known_after": found.known_after}


def _predict(found: Findings) -> list[str]:
    asked = found.asked
    why = "When the question is asked. Nothing that comes to light later is shown to a model."
    if asked.at is not None:
        return block("predict", {"at": asked.at, "longest": asked.longest}, why=why)
    if asked.lead is not None:
        lead = {"column": asked.lead, "unit": "days"}
        return block("predict", {"lead": lead, "longest": asked.longest}, why=why)
    return block("predict", {"ahead": asked.ahead}, why=why)


def _columns(found: Findings) -> Iterator[str]:
    """Every column with its type and role; what is not an input says why."""
    parts, target = {*found.time.spec.columns.values()}, found.profile.target.name
    needed = {*found.key.columns, found.asked.lead, found.asked.at}
    taken = [c for c in found.profile.columns if c.name not in parts]
    if not taken:
        return
    yield from comment(
        "input: known when the question is asked. known_later: only its past may be used. ignored: only kept."
    )
    yield "columns:"
    for column in taken:
        is_target = column.name == target
        role = "input" if is_target or column.name in needed else found.roles[column.name].role
        # A time that no feature asks for would only be a burden to callers.
        if column.kind == "time" and role == "input" and column.name not in needed:
            role = "ignored"
        told = _column(found, column, role, is_target=is_target)
        if is_target and not told:
            continue
        why = "" if role == "input" else found.roles[column.name].reason
        yield from entry(column.name, told, why=why, indent=2)
    yield ""


def _column(found: Findings, column: ColumnProfile, role: str, *, is_target: bool) -> dict[str, object]:
    told: dict[str, object] = {}
    if (there := found.sample.there.get(column.name)) is not None:
        told["from"] = there
    if is_target:
        return told
    told["type"] = TYPES[column.kind]
    if role != "input":
        told["role"] = role
    if column.name in found.times and told["type"] == "time":
        spec = found.times[column.name]
        told |= {"format": spec.format} if spec.format else {}
        told |= {"epoch": spec.epoch} if spec.epoch else {}
        told |= {"zone": spec.zone} if spec.zone != "UTC" else {}
    if column.misfit_rows > SOME_MISFITS * column.filled:
        told["invalid"] = "missing"
    return told


def _judging(declared: UseCaseDeclaration, found: Findings) -> Iterator[str]:
    cutting = found.cutting
    yield from block(
        "split",
        {"validation": cutting.window, "test": cutting.window},
        why=f"Of {cutting.days} days the last {cutting.window.days} judge, those before them tune, the rest teaches.",
    )
    if cutting.minimum_rows < declared.promotion.minimum_rows:
        yield from block(
            "promotion",
            {"minimum_rows": cutting.minimum_rows},
            why="There are few test rows, so what is decided on them is less certain than it should be.",
        )
    slices = [
        c.name
        for c in found.profile.columns
        if c.name in declared.columns
        and declared.columns[c.name].role == "input"
        and c.kind == "category"
        and 2 <= c.distinct <= 8
        and c.name not in (declared.target.column, *declared.key)
    ][:2]
    if slices:
        yield from entry("slices", slices, why="Scores are reported for each value of these.")
    yield ""


def _expectations(declared: UseCaseDeclaration, found: Findings) -> Iterator[str]:
    """What the rows look like, as checks; of columns that the cleaned table has under the same name."""
    kept = {n for n, c in declared.columns.items() if c.role != "ignored"}
    kept -= {declared.target.column} if declared.target.task == "binary" else set()
    kept -= {*declared.time.by_role.values(), declared.time.event_time}
    told = []
    for expectation in suggest_expectations(found.profile):
        arguments = dict(expectation.arguments)
        named = [arguments["column"]] if "column" in arguments else list(arguments.get("column_list", []))
        is_key = "unique" in expectation.type
        if {*named} <= kept and not (is_key and tuple(named) != declared.key):
            fields = {"check": expectation.check, "type": expectation.type, "arguments": arguments}
            told.append(fields | ({} if expectation.severity == "critical" else {"severity": expectation.severity}))
    if told:
        yield from comment(
            "Data quality, inferred from these rows with room to spare. critical stops what comes after it."
        )
        if len(told) > MOST_EXPECTATIONS:
            yield from comment(f"{len(told):,} could be said; each costs time in every run, so these are the first.")
        yield from items("expectations", told[:MOST_EXPECTATIONS])
