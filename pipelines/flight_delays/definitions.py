"""The code location of this use case; `workspace.yaml` names it."""

from pipelines.assembly import build_definitions
from pipelines.flight_delays.feed import deliver
from pipelines.flight_delays.use_case import FLIGHT_DELAYS

defs = build_definitions(FLIGHT_DELAYS, deliver=deliver)
