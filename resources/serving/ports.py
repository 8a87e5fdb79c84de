"""Which port belongs to the endpoint of which use case in a state folder, and under which name its process runs.

Belongs here: handing out ports, once for all. Does not belong here: starting what listens there (`client.py`).

A use case has a place in the order of first use, kept in `<home>/run/endpoint-ports.json`. Its port is the place-th one
from the base on that nothing else is set to use: the base can be moved, and everybody moves with it.
"""

import json
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Final

from resources.errors import EndpointError
from resources.locks import in_turn
from resources.objects import ObjectStore

PORT_VARIABLE: Final = "THROUGHLINE_ENDPOINT_PORT"
FILE: Final = "endpoint-ports.json"
HIGHEST: Final = 65_535


def process_name(use_case: str) -> str:
    """Name of the pid file and the log of a use case's server."""
    return f"endpoint-{use_case}"


def allotted(home: Path) -> list[str]:
    """The use cases that have a port in this state folder, in the order of their places.

    Raises:
        EndpointError: If the file does not hold them.
    """
    path = home / "run" / FILE
    if not path.is_file():
        return []
    try:
        places = json.loads(path.read_text(encoding="utf-8"))
        return sorted((str(name) for name in places), key=lambda name: int(places[name]))
    except (ValueError, TypeError, KeyError) as error:
        raise EndpointError(f"{path} does not hold endpoints ({error}); run `make stop` and delete it") from error


def port_of(use_case: str, *, home: Path, base: int, reserved: Collection[int] = ()) -> int:
    """The port of a use case, allotted if it has none yet; of two callers at once both get the same.

    Args:
        use_case: Its name.
        home: State folder.
        base: The first port that may be handed out.
        reserved: Ports that other programs are set to use.

    Raises:
        EndpointError: If the name cannot be one, or there is no port left above the base.
    """
    if not use_case.isidentifier():
        raise EndpointError(f"{use_case!r} cannot be the name of a use case")
    known = allotted(home)
    if use_case not in known:
        with in_turn(home / "run" / "endpoint-ports.lock"):
            known = allotted(home)
            if use_case not in known:
                known.append(use_case)
                content = json.dumps({name: place for place, name in enumerate(known)}, indent=1)
                ObjectStore(str(home / "run")).write(FILE, content.encode())
    free = (port for port in range(base, HIGHEST + 1) if port not in reserved)
    port = next(islice(free, known.index(use_case), None), None)
    if port is None:
        raise EndpointError(f"no port is left for {use_case!r} from {base} on; set {PORT_VARIABLE} to a lower one")
    return port
