"""How fast rows are cleaned and features are made, in memory; started by `children.measured`.

Belongs here: timing the two pure functions over and over on the tables of a lake. Does not belong here: reading and
writing, which the stages' own figures contain.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from assets.logic.point_in_time import History
from assets.stages.cleaned import clean_table
from assets.stages.common import table_name
from assets.stages.features import feature_rows, load_history
from infra.bench.children import spent, tell
from infra.bench.subject import SUBJECTS
from resources.lake import Lake
from resources.settings import Settings

REPEATS: Final = 3


def main(started: str, result: str, subject: str) -> None:
    """Time both functions on all days in the lake, and tell rows and seconds.

    Args:
        started: When this process was started, seconds since 1970.
        result: File to tell it in.
        subject: One of `SUBJECTS`.
    """
    use_case, settings = SUBJECTS[subject].use_case, Settings()
    lake = Lake(root=settings.lake_root, storage_options=settings.storage_options)
    table = use_case.table(use_case.entity_table)
    raw = lake.scan(table_name(use_case, f"raw_{table.name}")).collect()
    lookups = {n: lake.scan(table_name(use_case, f"cleaned_{n}")) for n in table.lookups}
    days = sorted(lake.partitions(table_name(use_case, f"raw_{table.name}")))
    loaded = load_history(lake, use_case, days)

    def features() -> int:
        # A fresh history, because one that was asked before has its rows sorted already.
        return len(feature_rows(use_case, History(loaded.tables, loaded.clocks), days))

    facts = {
        "cleaning": _timed(lambda: len(raw) if clean_table(table, raw, lookups) else 0),
        "features": _timed(features),
    }
    tell(Path(result), spent(float(started)), facts=facts)


def _timed(work: Callable[[], int]) -> dict[str, object]:
    seconds, rows = [], 0
    for _ in range(REPEATS):
        begin = time.perf_counter()
        rows = work()
        seconds.append(time.perf_counter() - begin)
    return {"rows": rows, "seconds": seconds}


if __name__ == "__main__":
    main(*sys.argv[1:])
