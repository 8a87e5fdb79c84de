"""The few days of flights as a code location without sensors and schedules: nothing runs that nobody asked for."""

from pathlib import Path

import dagster as dg

from resources.settings import Settings
from tests.support.few_days import Home


def _of(folder: Path) -> dg.Definitions:
    whole = Home(folder=folder, landing=folder / "landing").definitions()
    return dg.Definitions(assets=whole.assets, resources=whole.resources, executor=dg.in_process_executor)


defs = _of(Settings().home)  # the only one in the module: Dagster takes no two
