"""`throughline monitor`: Evidently's own user interface over the history of drift.

Belongs here: starting it when it is asked for. Does not belong here: what it shows
(`resources/evidently_workspace.py`), and ending it, which `throughline stop` does with everything else.
"""

from dataclasses import replace

from pipelines.programs import EVIDENTLY, services
from pipelines.services import Echo, check_ports, start
from resources import processes
from resources.errors import ThroughlineError
from resources.settings import Settings


class NothingToShowError(ThroughlineError):
    """No drift report has been made yet; the message says how one is."""


def monitor(settings: Settings, echo: Echo) -> str:
    """Have Evidently's interface run on loopback, and return its address. One that runs already is left as it is.

    Raises:
        NothingToShowError: If there is no history yet.
        ServiceError: If its port is taken, or it does not come up.
    """
    if not settings.evidently_home.is_dir():
        raise NothingToShowError(
            f"there is no history of drift under {settings.evidently_home} yet; materialise drift_report of a scored "
            "day first, which the schedule does once a day"
        )
    service = next(s for s in services(settings) if s.name == EVIDENTLY)
    running = processes.status(EVIDENTLY, home=settings.home)
    if running.is_running:
        service = replace(service, port=running.port)
    else:
        check_ports(settings, [EVIDENTLY])
        start([service], settings, echo)
    return str(service.address)
