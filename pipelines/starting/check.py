"""`throughline check`: deliver the data of a use case into a folder of its own, and try one partition.

Belongs here: a place where nothing can be harmed. Does not belong here: the trial itself (`trial.py`),
and words for what the use case will do by itself (`automation_told.py`).
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from pipelines import catalogue
from pipelines.starting import automation_told
from pipelines.starting.trial import Trial, told, try_partition
from resources.errors import InputError
from resources.objects import ObjectStore

Echo = Callable[[str], None]


def check(name: str, landing: ObjectStore, echo: Echo) -> Trial:
    """Try a use case: its data delivered into a temporary folder, one partition through raw, cleaned and features.

    Where others deliver, what they delivered is read, and nothing is written there.

    Args:
        name: Of the use case.
        landing: The landing zone, for data that lands by itself.
        echo: Told what came out.

    Raises:
        ThroughlineError: If there is no such use case, its declaration cannot work, or its data does not fit.
    """
    use_case, deliver = catalogue.use_case(name), catalogue.deliver_hook(name)
    with tempfile.TemporaryDirectory(prefix="throughline-check-") as folder:
        place = landing
        if deliver is not None:
            place = ObjectStore(str(Path(folder, "landing")))
            deliver(place, echo)
        trial = try_partition(use_case, place)
    for line in (*told(trial), *automation_told.told(use_case)):
        echo(line)
    if trial.problems:
        raise InputError(f"{name} would not run: {'; '.join(trial.problems)}")
    echo(f"\n{name} is ready; `throughline line {name}` trains it and leaves its endpoint live.")
    return trial
