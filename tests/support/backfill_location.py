"""The few days of flights as a code location without sensors and schedules: nothing runs that nobody asked for."""

from pathlib import Path

import dagster as dg

from resources.settings import Settings
from tests.support.few_days import Home

_home = Settings().home
_all = Home(folder=_home, landing=Path(_home, "landing")).definitions()
defs = dg.Definitions(assets=_all.assets, resources=_all.resources, executor=dg.in_process_executor)
