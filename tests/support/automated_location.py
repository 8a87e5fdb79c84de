"""The code location that `automated.py` has a daemon load."""

from pathlib import Path

from resources.settings import Settings
from tests.support.few_days import Home

_home = Settings().home
defs = Home(folder=_home, landing=Path(_home, "landing")).definitions()
