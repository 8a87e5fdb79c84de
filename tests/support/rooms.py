"""Folders that the workers of one session share, and what is made in them once for all.

Shared is only what consists of plain files that nobody writes to afterwards. A store that is open in several processes
(MLflow's SQLite file) changes when it is read.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from resources.locks import in_turn


def shared(base: Path) -> Path:
    """The folder of the whole session, given the base folder of this worker."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """The folder, filled by `make` in whichever worker asks first; what a failed one left is made anew."""
    done = folder.with_suffix(".done")
    with in_turn(folder.with_suffix(".lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder
