"""The code location that `automated.py` has a daemon load; its runs do less of what says nothing about the line."""

from pathlib import Path

import pytest

from resources.settings import Settings
from tests.support.few_days import FEWER, Home

_patch = pytest.MonkeyPatch()  # for as long as this process lives
for _name, _count in FEWER.items():
    _patch.setattr(_name, _count)
_home = Settings().home
defs = Home(folder=_home, landing=Path(_home, "landing")).definitions()
