"""The code location that the daemon of `alive.py` loads: the small form of the flights, over the home of the settings.

Belongs here: nothing more. Does not belong here: what is done with it.
"""

from infra.bench.subject import QUICK
from pipelines.assembly import build_definitions

defs = build_definitions(QUICK.use_case)
