"""Histories that are kept current: shared by versions, and not to be stopped by one bad batch."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.histories import Histories
from pipelines.served import UseCaseService
from resources.serving.service import Recorded
from tests.support.serving import online
from tests.support.toy_use_case import TOY

AT = datetime(2026, 12, 1, tzinfo=UTC)


def storm(shop: str) -> Recorded:
    row = {"shop": shop, "seen_at": datetime(2020, 2, 10, 10, tzinfo=UTC), "wind_kmh": 88.5}
    return Recorded(at=AT, records={"storms": [tuple(row[f.name] for f in FIELDS["storms"])]})


FIELDS = UseCaseService(TOY).tables


@pytest.fixture
def histories() -> Histories:
    return Histories(TOY, FIELDS)


def east(frame: pl.DataFrame) -> int:
    return frame.filter(pl.col("shop") == "east").height


def test_versions_with_the_same_snapshot_share_a_history(histories: Histories, tmp_path: Path) -> None:
    assert histories.of(tmp_path, online) is histories.of(tmp_path, online)


def test_a_history_begins_with_all_that_was_observed(histories: Histories, tmp_path: Path) -> None:
    histories.follow(lambda: [storm("east")])
    assert east(histories.of(tmp_path, online).history.tables["storms"]) == 1


def test_a_recorded_batch_that_is_refused_does_not_keep_a_version_from_being_loaded(
    histories: Histories, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def recorded() -> Iterator[Recorded]:
        yield Recorded(at=AT, records={"parcels": [(None,) * len(FIELDS["parcels"])]})  # whose key is null
        yield storm("east")

    histories.follow(recorded)
    assert east(histories.of(tmp_path, online).history.tables["storms"]) == 1
    assert "are passed over" in caplog.text


def test_news_is_counted_once(histories: Histories, tmp_path: Path) -> None:
    kept = histories.of(tmp_path, online)
    assert [histories.observe(storm("east")) for _ in range(2)] == [1, 0]
    assert kept.rows_observed == 2
