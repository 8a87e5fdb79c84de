"""The lines of several use cases from the command line, one after the other, one at a time in a state folder.

Belongs here: what comes before and around each line, and that one that fails does not keep the others from running.
Does not belong here: the line of one use case (`line.py`).
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import cast

import dagster as dg

from pipelines import catalogue
from pipelines.catalogue import Publish
from pipelines.killed import end_killed_runs, wait_for_others
from pipelines.line import Line, LineError
from pipelines.progress import Echo
from resources.errors import ThroughlineError
from resources.locks import alone, line_lock
from resources.objects import ObjectStore
from resources.registry import MlflowModelRegistry
from resources.settings import Settings


@dataclass(kw_only=True)
class Outcome:
    """How the lines went.

    Attributes:
        done: Names of the use cases whose line came to its end.
        failed: Why the others did not, by name.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def require(self) -> None:
        """Say at the end what failed.

        Raises:
            LineError: If any line failed, naming each with its reason.
        """
        if self.failed:
            told = "; ".join(f"{name}: {why}" for name, why in self.failed.items())
            count = len(self.done) + len(self.failed)
            raise LineError(f"{len(self.failed)} of {count} use cases failed. {told}")


def run_lines(settings: Settings, names: Sequence[str], echo: Echo) -> Outcome:
    """Run the lines of use cases, one at a time in a state folder.

    Raises:
        BusyError: If a line runs already in this folder.
        ThroughlineError: If only one is asked for and it fails; the message is for a person.
    """
    Path(settings.dagster_home).mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    with alone(line_lock(settings.home), "The line"), dg.DagsterInstance.get() as instance:
        for number, name in enumerate(names, start=1):
            if len(names) == 1:
                run_line(settings, name, instance, echo)
            else:
                echo(f"\n{name} ({number} of {len(names)})")
                if (why := _failure(settings, name, instance, echo)) is not None:
                    outcome.failed[name] = why
                    continue
            outcome.done.append(name)
    return outcome


def run_line(settings: Settings, name: str, instance: dg.DagsterInstance, echo: Echo) -> None:
    """Have the data of one use case land, then run its line.

    Raises:
        ThroughlineError: If it cannot; the message is for a person.
    """
    use_case, defs = catalogue.use_case(name), catalogue.definitions(name)
    publish = catalogue.publish_hook(name)
    if publish is not None and settings.landing is None and not _published(settings, name).is_file():
        # Once only, and never into a landing zone that others fill: a file taken away or changed there stays so.
        publish_data(settings, name, publish, None, echo)
    deliver_data(settings, name, echo)
    registry = cast(MlflowModelRegistry, (defs.resources or {})["registry"])
    for run_id in end_killed_runs(instance, registry, name):
        echo(f"The process of Dagster run {run_id} was killed; its work is taken up again")
    wait_for_others(instance, name, echo)
    Line(use_case=use_case, defs=defs, instance=instance, echo=echo).run()


def deliver_data(settings: Settings, name: str, echo: Echo) -> bool:
    """Bring the landing zone up to date with where the data of a use case comes from; False if it lands by itself."""
    if (deliver := catalogue.deliver_hook(name)) is None:
        return False
    deliver(ObjectStore(settings.landing_root), echo)
    return True


def publish_data(settings: Settings, name: str, publish: Publish, until: date | None, echo: Echo) -> None:
    """Put the data that ships with a use case into the landing zone, and remember that it was done to its end."""
    publish(ObjectStore(settings.landing_root), echo, until)
    ObjectStore(str(settings.home)).write(f"published/{name}", f"{until or 'by default'}\n".encode())


def _published(settings: Settings, name: str) -> Path:
    """Mark of data that was published to its end; what was interrupted is published again."""
    return settings.home / "published" / name


def _failure(settings: Settings, name: str, instance: dg.DagsterInstance, echo: Echo) -> str | None:
    """Run one line of several; why it failed, or None."""
    try:
        run_line(settings, name, instance, echo)
    except ThroughlineError as error:
        why = str(error)
        echo(f"{name} failed: {why}")
    except Exception as error:  # noqa: BLE001  # the edge: not even a defect in one use case may stop the others
        echo(f"{name} failed:\n{traceback.format_exc()}")
        why = f"{type(error).__name__}: {error}"
    else:
        return None
    return why
