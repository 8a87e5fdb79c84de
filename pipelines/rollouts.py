"""Rollouts from the command line: `throughline rollout` shows one and moves it on, `throughline rollback` goes back.

Belongs here: arguments and what is printed. Does not belong here: the change itself (`resources/serving/control.py`).
Needs neither Dagster, nor MLflow, nor the lake, nor the use case's own code: only its state folder and its server.
"""

import getpass
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from resources.errors import EndpointError, ThroughlineError
from resources.settings import Settings

if TYPE_CHECKING:
    from resources.serving.control import Control
    from resources.serving.states import Beside, Event, State

LINES: Final = 8
"""Of the history that are shown."""

Name = Annotated[str, typer.Argument(help="Use case.")]
Why = Annotated[str, typer.Option(help="Reason, for the history.")]


def rollback(name: Name, reason: Why = "") -> None:
    """Take back a version on its way, or go back to the version that was live before: at once, from memory."""
    control = _control(name)
    state = control.roll_back(by=_person(), reason=reason or "asked for on the command line")
    typer.echo(_answers(control, state))


def rollout(
    name: Name,
    step: Annotated[bool, typer.Option("--next", help="Give the version on its way its next share.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Make the version on its way the live one.")] = False,
    reason: Why = "",
) -> None:
    """Show which version is live and which on its way, at what share and how it does; or move it on."""
    control, why = _control(name), reason or "asked for on the command line"
    if step and finish:
        raise ThroughlineError("--next and --finish are two different things; give one of them")
    if step or finish:
        state = (control.finish if finish else control.step_on)(by=_person(), reason=why)
        typer.echo(_answers(control, state))
        return
    if (known := control.folder.state()) is None:
        raise ThroughlineError(f"nothing was ever deployed for {name}")
    for line in _told(control, known):
        typer.echo(line)


def _control(name: str) -> "Control":
    from resources.serving.control import Control
    from resources.serving.ports import port_of
    from resources.serving.target import StateFolder

    settings = Settings()
    folder = settings.serving_home / name
    if not name.isidentifier() or not folder.is_dir():
        raise EndpointError(f"nothing was ever deployed for {name!r}: there is no folder {folder}")
    port = partial(port_of, name, home=settings.home, base=settings.endpoint_port, reserved=settings.reserved_ports)
    return Control(use_case=name, folder=StateFolder(folder), host="127.0.0.1", port=port)


def _person() -> str:
    return f"{getpass.getuser()} on the command line"


def _answers(control: "Control", state: "State") -> str:
    """What is live now, in one sentence."""
    told = f"version {state.live.number} of {control.use_case} is live"
    if state.beside is not None:
        told += f", and version {state.beside.target.number} beside it ({_share(state.beside)})"
    return told if control.described() is not None else f"{told} once its server runs; none does"


def _told(control: "Control", state: "State") -> Iterator[str]:
    yield _answers(control, state)
    if state.previous is not None:
        yield f"version {state.previous.number} was live before; `throughline rollback {control.use_case}` goes back"
    if state.beside is not None:
        yield from _figures(control, state.beside)
    for event in control.folder.history()[-LINES:]:
        yield _line(event)


def _figures(control: "Control", beside: "Beside") -> Iterator[str]:
    from resources.serving.evidence_files import total

    yield f"since {_minute(beside.step_at)}, in this step:"
    for name, arm in zip(("live", "new"), total(control.folder.root, beside), strict=True):
        shares = (("slow", arm.slow, arm.calls), ("high", arm.high, arm.scored), ("outer", arm.outer, arm.scored))
        rest = ", ".join(f"{word} {hits / of:.1%}" for word, hits, of in shares if of)
        yield f"  {name}: {arm.rows} rows, {arm.errors} without an answer{', ' + rest if rest else ''}"
    described: dict[str, Any] | None = control.described()
    if described is not None and described["beside"] and (verdict := described["beside"]["verdict"]):
        yield f"  {verdict['kind']}: {verdict['reason']}"


def _line(event: "Event") -> str:
    why = f": {event.reason}" if event.reason else ""
    return f"{_minute(event.at)}  {event.change}, version {event.version} at {event.share:.0%}, by {event.by}{why}"


def _share(beside: "Beside") -> str:
    return f"{beside.plan.mode}, {beside.share:.0%}, step {beside.step + 1} of {len(beside.plan.steps)}"


def _minute(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"
