"""Which code made each partition, read off real runs."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from resources.materialisations import code_versions_by_partition
from tests.support.instance import write_instance_file

KEY = dg.AssetKey(["shop", "orders"])
DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06")


def made(instance: dg.DagsterInstance, version: str, first: str, last: str) -> None:
    """Make a range of days by code of a version, with metadata that speaks of another."""

    @dg.asset(key=KEY, partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run(), code_version=version)
    def orders() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"said": '"dagster/code_version": "no"'})

    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    job = dg.Definitions([orders], jobs=[dg.define_asset_job("job", [orders])]).resolve_job_def("job")
    assert job.execute_in_process(instance=instance, tags=span).success


@pytest.fixture(params=["on disk", "in memory"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    write_instance_file(tmp_path)
    is_on_disk = request.param == "on disk"
    made = dg.DagsterInstance.from_config(str(tmp_path)) if is_on_disk else dg.DagsterInstance.ephemeral()
    with made as found:
        yield found


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")
def test_each_partition_has_the_version_of_the_code_that_made_it_last(instance: dg.DagsterInstance) -> None:
    assert code_versions_by_partition(instance, KEY) == {}
    made(instance, "a", "2024-01-01", "2024-01-04")
    made(instance, "b", "2024-01-03", "2024-01-03")
    assert code_versions_by_partition(instance, KEY) == {
        "2024-01-01": "a",
        "2024-01-02": "a",
        "2024-01-03": "b",
        "2024-01-04": "a",
    }
    instance.wipe_assets([KEY])
    assert code_versions_by_partition(instance, KEY) == {}
