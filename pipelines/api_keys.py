"""API keys from the command line: `throughline key add|remove|list <use case>`.

Belongs here: arguments and what is printed. Does not belong here: the keys (`resources/serving/keys.py`). A server that
runs takes a change over within a second.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from resources.errors import ThroughlineError
from resources.settings import Settings

if TYPE_CHECKING:
    from resources.serving.keys import KeyFile

app = typer.Typer(no_args_is_help=True, help="API keys of an endpoint.")

UseCaseName = Annotated[str, typer.Argument(help="Use case.")]
KeyName = Annotated[str, typer.Argument(help="Whose key it is.")]


@app.command()
def add(
    use_case: UseCaseName,
    name: KeyName,
    requests_per_s: Annotated[float | None, typer.Option(help="How many requests a second each worker takes.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires.")] = None,
) -> None:
    """Make a key and print it, this once. Earlier keys of the name stay valid: so keys are exchanged without a gap."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    typer.echo(_file(use_case).add(name, requests_per_s=requests_per_s, expires_at=expires_at))


@app.command()
def remove(use_case: UseCaseName, name: KeyName) -> None:
    """Take all keys of a name away."""
    if not (removed := _file(use_case).remove(name)):
        raise ThroughlineError(f"{use_case} has no key of {name!r}; `throughline key list {use_case}` shows them")
    typer.echo(f"{removed} key{'s' if removed > 1 else ''} of {name} taken away")


@app.command("list")
def show(use_case: UseCaseName) -> None:
    """Show whose keys there are, not the keys: they are nowhere kept."""
    now = datetime.now(UTC)
    for key in _file(use_case).read():
        limit = "no limit" if key.requests_per_s is None else f"{key.requests_per_s:g} requests/s"
        until = "" if key.expires_at is None else f", until {key.expires_at[:16].replace('T', ' ')} UTC"
        typer.echo(f"{key.name}: {limit}{until}{'' if key.is_valid_at(now) else ' (expired)'}")


def _file(use_case: str) -> "KeyFile":
    from pipelines import catalogue
    from resources.serving.keys import KeyFile

    folder = Settings().serving_home / use_case
    # A key for a misspelt name would protect nothing, and nobody would know.
    if use_case not in (known := catalogue.in_workspace()) and not folder.is_dir():
        raise ThroughlineError(f"there is no use case {use_case!r}; known are {sorted(known)}")
    return KeyFile(folder)
