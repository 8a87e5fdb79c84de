"""Whether a version is quick enough to meet any traffic at all.

Belongs here: the look at known rows before a rollout. Does not belong here: what its callers wait (`guardrails.py`).
"""

import time
from typing import Final

from resources.errors import EndpointError
from resources.serving.statuses import Live

TRIES: Final = 3
"""The fastest of so many warm-ups is compared; whatever else the machine does only makes one slower."""
MUCH_SLOWER: Final = 10.0
"""Times the live version's time on the same known rows at which a version meets no traffic at all."""


def require_speed(loaded: Live, live: Live) -> None:
    """Refuse what is so slow on known rows that no caller need wait for it.

    Raises:
        EndpointError: If it is.
    """
    new, old = (min(_warm_up_seconds(version) for _ in range(TRIES)) for version in (loaded, live))
    if new > MUCH_SLOWER * old:
        raise EndpointError(f"on the same known rows it takes {new:.3f} s, and the live version {old:.3f} s")


def _warm_up_seconds(version: Live) -> float:
    began = time.perf_counter()
    version.scorer.warm_up()
    return time.perf_counter() - began
