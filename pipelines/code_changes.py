"""What on the champion's path was made by other code than today's, and what that asks for.

Belongs here: comparing code versions with those of the last materialisations, never with what was seen before, so that
a daemon that has seen nothing notices all the same. Does not belong here: what a code version is
(`assets/code_version.py`), what is taken in again when (`backlog.py`), and whether to retrain (`retraining.py`).

Another way of reading, cleaning or feature makes the partitions anew first; a retraining is asked for when all are.
Another trainer, split or training set asks for a retraining alone.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import cache

import dagster as dg

from assets.contracts import UseCase
from assets.logic.retraining import Evidence
from assets.stages.candidates import candidate_code_version
from assets.stages.cleaned import cleaned_code_version
from assets.stages.common import asset_key, table_name
from assets.stages.features import features_code_version, look_back_days
from assets.stages.raw import raw_code_version
from assets.stages.training_set import training_set_code_version
from assets.trainers.names import family_name
from resources.lake import Lake
from resources.materialisations import code_versions_by_partition


class _Declared:
    """A use case by its identity: what it declares does not change while a process runs, and is long to read."""

    def __init__(self, use_case: UseCase) -> None:
        self.use_case = use_case

    def __hash__(self) -> int:
        return id(self.use_case)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Declared) and other.use_case is self.use_case


def path_versions(use_case: UseCase) -> Mapping[str, str]:
    """Today's code version of every asset from the landed files to the candidates, in the order of the flow.

    Told once in a process, as the code behind them is read once (`assets.code_version.reached`).
    """
    return _path_versions(_Declared(use_case))


@cache
def _path_versions(declared: _Declared) -> Mapping[str, str]:
    """The same of a use case; a tick asks four times, and each time would take a tenth of a second."""
    use_case = declared.use_case
    return {
        **{f"raw_{table.name}": raw_code_version(table) for table in use_case.tables},
        **{f"cleaned_{table.name}": cleaned_code_version(table) for table in use_case.tables},
        "features": features_code_version(use_case),
        "training_set": training_set_code_version(use_case),
        **{family_name(spec.family): candidate_code_version(use_case, spec) for spec in use_case.trainers},
    }


def stale_assets(use_case: UseCase, instance: dg.DagsterInstance, lake: Lake) -> list[str]:
    """Assets on the champion's path to be made again, in the order of the flow: by other code, or after such a one."""
    wanted = path_versions(use_case)
    outdated = {*_stale_by_asset(use_case, instance, lake, wanted), *_stale_training(use_case, instance, wanted)}
    return _with_all_after(use_case, outdated, wanted)


def stale_partitions(use_case: UseCase, instance: dg.DagsterInstance, lake: Lake) -> set[str]:
    """Partitions to ingest again because of code: made by other code, or of features that look back on such a one."""
    return _with_all_that_look_back(use_case, lake, _stale_by_asset(use_case, instance, lake, path_versions(use_case)))


def code_change_evidence(
    use_case: UseCase,
    instance: dg.DagsterInstance,
    lake: Lake,
    now: datetime,
    arrived: AbstractSet[str] | None = None,
) -> Evidence:
    """Whether a retraining is due because the code, a setting or a library behind the champion changed.

    Until one training has come to its end, the same change has the same id.

    Args:
        use_case: The declaration.
        instance: Where the materialisations are on record.
        lake: Where the partitions are.
        now: When this is found out (UTC).
        arrived: Partitions that can be made again; None: all. What cannot is not waited for.
    """
    wanted, last = path_versions(use_case), _last_events(use_case, instance, ["training_set", "champion"])
    judged = None if last["champion"] is None else last["champion"].timestamp
    name = hashlib.sha256(f"{sorted(wanted.items())} {judged}".encode()).hexdigest()[:16]

    def evidence(why: str, *, fired: bool = False, **facts: str | int) -> Evidence:
        return Evidence(
            trigger="code_change", id=f"code_change/{name}", fired=fired, why=why, observed_at=now, facts=facts
        )

    if last["training_set"] is None:
        return evidence("Nothing has been trained yet, so no code behind a model can have changed.")
    outdated = _stale_by_asset(use_case, instance, lake, wanted)
    behind = _with_all_that_look_back(use_case, lake, outdated)
    waiting = behind if arrived is None else behind & arrived
    stale = _with_all_after(use_case, {*outdated, *_stale_training(use_case, instance, wanted)}, wanted)
    if waiting:
        rebuilt = [asset for asset in stale if asset in _ingested(use_case)]
        why = f"The code behind {', '.join(rebuilt)} changed; {len(waiting)} partitions are to be made again first."
        return evidence(why, rebuild=", ".join(rebuilt), stale=", ".join(stale), partitions=len(waiting))
    retrained = [asset for asset in stale if asset not in _ingested(use_case)]
    if not retrained:
        return evidence("Everything the champion was made from was made by today's code.")
    why = f"Code, settings or libraries behind {', '.join(retrained)} changed since these were last made."
    if behind:
        why += f" {len(behind)} partitions cannot be made again, and stay as other code made them."
    return evidence(why, fired=True, stale=", ".join(retrained))


def reload_reason(use_case: UseCase, instance: dg.DagsterInstance, loaded_at: float) -> str | None:
    """Why this process cannot tell what is stale; None if it can.

    Runs read the code from disk, a sensor lives with what its code location read. After an edit without a reload, all
    that runs make looks stale to the sensor, and were it to ask for it again, that would never end.

    Args:
        use_case: The declaration.
        instance: Where runs are on record.
        loaded_at: When this process read the code, in seconds since 1970: real time, as Dagster stamps its runs.
    """
    wanted = path_versions(use_case)
    for name, version in wanted.items():
        event = instance.get_latest_materialization_event(asset_key(use_case, name))
        made = None if event is None else event.asset_materialization
        if event is None or made is None or (made.tags or {}).get("dagster/code_version") == version:
            continue
        run = instance.get_run_record_by_id(event.run_id)
        if run is not None and (run.start_time or 0.0) > loaded_at:
            return f"{name} was made by code that was edited after this code location was loaded; reload it"
    return None


def _stale_by_asset(
    use_case: UseCase, instance: dg.DagsterInstance, lake: Lake, wanted: Mapping[str, str]
) -> dict[str, set[str]]:
    """Partitions that an asset of the ingestion made by other code, of those that have features; of none, not there.

    A file that is not partitioned concerns all of them. A partition without a materialisation of its own on record
    counts as made when the asset was last made at all: what is very old may be forgotten.
    """
    done, names = lake.partitions(table_name(use_case, "features")), _ingested(use_case)
    last = instance.get_latest_materialization_code_versions([asset_key(use_case, name) for name in names])
    found: dict[str, set[str]] = {}
    for name, is_partitioned in names.items():
        key = asset_key(use_case, name)
        known = code_versions_by_partition(instance, key) if is_partitioned else {}
        if stale := {partition for partition in done if known.get(partition, last.get(key)) != wanted[name]}:
            found[name] = stale
    return found


def _stale_training(use_case: UseCase, instance: dg.DagsterInstance, wanted: Mapping[str, str]) -> set[str]:
    """Training set and candidates by other code; a family that was never trained is one, once others were."""
    names = ["training_set", *(family_name(spec.family) for spec in use_case.trainers)]
    made = instance.get_latest_materialization_code_versions([asset_key(use_case, name) for name in names])
    if made.get(asset_key(use_case, "training_set")) is None:
        return set()
    return {name for name in names if made.get(asset_key(use_case, name)) != wanted[name]}


def _with_all_after(use_case: UseCase, outdated: AbstractSet[str], path: Iterable[str]) -> list[str]:
    """Assets of a path that are outdated, or made from one that is, in its order."""
    found: list[str] = []
    for name in path:
        if name in outdated or not {*_made_from(use_case, name)}.isdisjoint(found):
            found.append(name)
    return found


def _with_all_that_look_back(use_case: UseCase, lake: Lake, stale: Mapping[str, AbstractSet[str]]) -> set[str]:
    """Partitions that any asset made by other code, and those whose features look back on its rows."""
    behind = sorted({key for name, keys in stale.items() if name != "features" for key in keys})
    found, days = {*stale.get("features", ()), *behind}, look_back_days(use_case)
    for key in lake.partitions(table_name(use_case, "features")) if behind else ():
        place = bisect_left(behind, use_case.partitions.before(key, days))
        if place < len(behind) and behind[place] <= key:
            found.add(key)
    return found


def _ingested(use_case: UseCase) -> dict[str, bool]:
    """Assets of the ingestion that features come from, and whether they are partitioned."""
    stages = ("raw", "cleaned")
    return {**{f"{s}_{t.name}": t.is_partitioned for s in stages for t in use_case.tables}, "features": True}


def _made_from(use_case: UseCase, name: str) -> Iterator[str]:
    """The assets on the path that another on it is made from."""
    stage, _, table = name.partition("_")
    if name == "features":
        yield from (f"cleaned_{t.name}" for t in use_case.tables)
    elif name == "training_set":
        yield "features"
    elif name in {family_name(spec.family) for spec in use_case.trainers}:
        yield "training_set"
    elif stage == "cleaned":
        yield f"raw_{table}"
        yield from (f"cleaned_{other}" for other in use_case.table(table).lookups)


def _last_events(
    use_case: UseCase, instance: dg.DagsterInstance, names: list[str]
) -> Mapping[str, dg.EventLogEntry | None]:
    return {name: instance.get_latest_materialization_event(asset_key(use_case, name)) for name in names}
