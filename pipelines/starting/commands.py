"""The commands `throughline new` and `throughline check`.

Belongs here: arguments, what is asked and printed. Does not belong here: the work (`new.py`, `check.py`), which loads
inside the commands.
"""

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from assets.policies import Task
from resources.settings import Settings


def new(
    name: Annotated[str, typer.Argument(help="What the use case is called, such as late_orders.")],
    source: Annotated[str, typer.Option("--from", help="A file, folder or address; or '$VARIABLE' of a database.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    time: Annotated[str | None, typer.Option(help="The column with the time of a row; else found out.")] = None,
    ahead: Annotated[str, typer.Option(help="How long before that is asked: 24h, or a column that says it.")] = "0h",
    known_after: Annotated[
        str | None, typer.Option(help="How long after the time of a row its outcome is known: 14d; else found out.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="A column of the key; several times for several; none: no key.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Time zone of times without one, such as Europe/Berlin.")] = "UTC",
    task: Annotated[Task | None, typer.Option(help="What kind of thing is predicted; else found out.")] = None,
    table: Annotated[str | None, typer.Option(help="Of a database: the table.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take every proposal.")] = False,
) -> None:
    """Begin a use case from a table: profile it, warn about leaks, write a commented declaration and its tests."""
    from pipelines import catalogue
    from pipelines.starting.findings import Wishes
    from pipelines.starting.new import new as begin
    from pipelines.starting.questions import Asker

    is_asked = not yes and sys.stdin.isatty()
    begin(
        name,
        source,
        Wishes(target=target, time=time, ahead=ahead, known_after=known_after, key=_key(key), zone=zone, task=task),
        Asker(echo=typer.echo, prompt=(lambda q, d: str(typer.prompt(q, default=d))) if is_asked else None),
        root=catalogue.WORKSPACE.parent,
        now=datetime.now(tz=UTC),
        sql_table=table,
    )


def check(name: Annotated[str, typer.Argument(help="The use case to try.")]) -> None:
    """Try a use case: deliver its data, take one partition through raw, cleaned and features, say what came out."""
    from pipelines.starting.check import check as attempt
    from resources.objects import ObjectStore

    attempt(name, ObjectStore(Settings().landing_root), typer.echo)


def _key(named: list[str] | None) -> tuple[str, ...] | None:
    """Columns, also written as `a,b`; `none` says that there is none."""
    if named is None:
        return None
    columns = [column.strip() for text in named for column in text.split(",")]
    return () if columns == ["none"] else tuple(columns)
