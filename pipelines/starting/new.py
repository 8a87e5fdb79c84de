"""`throughline new`: from a table to the folder of a use case, with a declaration, tests and the workspace line.

Belongs here: the order of the steps, and writing files. Does not belong here: looking at the table (`findings.py`), and
the text that is written (`writing.py`, `tests_text.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.declared.build import build_use_case
from pipelines.declared.origin import origin_of
from pipelines.declared.reading import parse
from pipelines.declared.schema_tables import Source
from pipelines.starting import telling
from pipelines.starting.findings import Findings, Wishes, investigate
from pipelines.starting.questions import Asker
from pipelines.starting.sample import Sample, take_sample
from pipelines.starting.tests_text import test_text
from pipelines.starting.writing import Origins, use_case_text
from resources.dialects import Dialect
from resources.errors import InputError
from resources.formats import format_of
from resources.objects import ObjectStore
from resources.origins_files import FileOrigin

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
TAKEN: Final = ("declared", "starting", "defs")
"""Folders beside the use cases that are none."""
SAMPLE_ROWS: Final = 400
"""Rows that a test keeps: enough for a few partitions of history."""
DATABASE: Final = re.compile(r"^(?!https?:|s3:|file:)[a-z][a-z0-9+]*://")


class NewError(InputError):
    """A use case that cannot be begun; the message says what to change."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """What was written."""

    folder: Path
    files: tuple[Path, ...]
    found: Findings


def new(
    name: str,
    source: str,
    wishes: Wishes,
    asker: Asker,
    *,
    root: Path,
    now: datetime,
    sql_table: str | None = None,
) -> Started:
    """Look at a table, tell what was found, and write the folder of a use case.

    Args:
        name: Of the use case.
        source: A file, a folder, an address, a Delta table; or `$VARIABLE` with the URL of a database.
        wishes: What the person said already.
        asker: For doubts, and to tell what was found.
        root: Of the repository: the folder with `pipelines`, `tests` and `workspace.yaml`.
        now: Present instant (UTC).
        sql_table: Of a database, the table.

    Raises:
        NewError: If the name is taken or no name, or the source is none.
        InputError: If no use case can be made of the table.
    """
    _check_name(name, root)
    asked = _source(source, sql_table)
    origin = origin_of(Source.model_validate(asked), Path.cwd())
    if origin is None:
        raise NewError(f"{source!r} is no place to read from")
    asker.echo(f"Looking at {origin.describe()}")
    dialect = origin.sniffed() if isinstance(origin, FileOrigin) and _is_csv(origin.uri) else None
    sample = take_sample(origin, asker.echo)
    found = investigate(sample, wishes, asker, now)
    for line in telling.told(found, dialect):
        asker.echo(line)
    table = _table_name(source, sql_table)
    text = use_case_text(name, Origins(source=_said(asked, dialect), table=table, told=origin.describe()), found)
    declaration = root / "pipelines" / name / "use_case.yaml"
    build_use_case(name, parse(text, str(declaration)))  # before anything is written
    return _write(root, name, text, found, asker)


def _check_name(name: str, root: Path) -> None:
    if not NAME.fullmatch(name):
        raise NewError(f"{name!r} is no name for a use case; use lower-case letters, digits and _, such as late_orders")
    for folder in (root / "pipelines" / name, root / "tests" / "pipelines" / name):
        if name in TAKEN or folder.exists():
            raise NewError(f"{folder} exists already, and nothing is overwritten; choose another name, or remove it")


def _source(source: str, sql_table: str | None) -> dict[str, Any]:
    """The field `source` of the declaration."""
    if source.startswith("$"):
        if sql_table is None:
            raise NewError(f"{source} is the variable of a database; name the table with --table")
        return {"sql": {"url_variable": source.removeprefix("$").strip("{}"), "table": sql_table}}
    if DATABASE.match(source):
        raise NewError(
            "the URL of a database holds a password, which must not stand in a file: put it into an environment "
            "variable and write --from '$SHOP_DATABASE_URL' --table orders"
        )
    path = Path(source).expanduser()
    address = source if "://" in source else str(path.resolve())
    return {"delta": address} if (path / "_delta_log").is_dir() else {"uri": address}


def _said(source: Mapping[str, Any], dialect: Dialect | None) -> dict[str, Any]:
    if dialect is None:
        return dict(source)
    fields = ("encoding", "delimiter", "quote", "decimal_comma")
    told = {name: getattr(dialect, name) for name in fields}
    return {**source, "dialect": told | {"null_values": list(dialect.null_values)}}


def _is_csv(uri: str) -> bool:
    form = format_of(uri)
    return form is None or form.kind == "csv"


def _table_name(source: str, sql_table: str | None) -> str:
    """The name of the file as that of the table, if it can be one."""
    stem = (sql_table or Path(source.rstrip("/*")).name).rpartition(".")[2] if sql_table else Path(source).name
    plain = re.sub(r"[^a-z0-9]+", "_", stem.split(".")[0].lower()).strip("_")
    return plain if re.fullmatch(r"[a-z][a-z0-9_]*", plain) else "rows"


def _write(root: Path, name: str, text: str, found: Findings, asker: Asker) -> Started:
    folder, tests = root / "pipelines" / name, root / "tests" / "pipelines" / name
    folder.mkdir(parents=True)
    tests.mkdir(parents=True)
    files = (folder / "use_case.yaml", tests / "test_use_case.py", tests / "sample.csv")
    files[0].write_text(text, encoding="utf-8")
    files[1].write_text(test_text(name), encoding="utf-8")
    _sample_rows(found.sample, found.event_time).write_csv(files[2])
    workspace = root / "workspace.yaml"
    _add_location(workspace, name)
    asker.echo("\nWritten:")
    for file in (*files, workspace):
        asker.echo(f"  {file}")
    asker.echo(f"  {files[2].name} holds {SAMPLE_ROWS} real rows at most; make them up before you commit secrets.")
    asker.echo(f"\nNext: read {files[0]}, then `throughline check {name}`")
    return Started(folder=folder, files=(*files, workspace), found=found)


def _sample_rows(sample: Sample, event_time: pl.Series) -> pl.DataFrame:
    """Consecutive rows from the middle of the table, as its source has them."""
    ordered = sample.frame.with_columns(event_time.alias("__time")).drop_nulls("__time").sort("__time")
    middle = max(0, (len(ordered) - SAMPLE_ROWS) // 2)
    return ordered.slice(middle, SAMPLE_ROWS).drop("__time").rename(sample.there)


def _add_location(workspace: Path, name: str) -> None:
    """The code location of the use case, at the end of the list."""
    before = workspace.read_text(encoding="utf-8") if workspace.is_file() else "load_from:\n"
    lines = (
        "  - python_module:\n"
        "      module_name: pipelines.locations\n"
        f"      attribute: {name}\n"
        f"      location_name: {name}\n"
        "      working_directory: .\n"
    )
    whole = before + ("" if before.endswith("\n") else "\n") + lines
    # Whole or not at all: every other use case is found by this file.
    ObjectStore(str(workspace.parent)).write(workspace.name, whole.encode())
