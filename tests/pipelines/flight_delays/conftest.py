"""The real year, published and cleaned once for all tests of the use case that need it."""

from collections.abc import Iterator
from datetime import date

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY, SourceTable
from assets.logic.intake import Split, quarantine, typed
from pipelines.flight_delays.feed import publish
from pipelines.flight_delays.source import AIRPORTS, FLIGHTS, PLANES, WEATHER
from resources.objects import ObjectStore

TABLES = (AIRPORTS, PLANES, WEATHER, FLIGHTS)
"""In an order in which every table comes after those it looks things up in."""


@pytest.fixture(scope="session")
def landing_2013(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """A landing zone with everything the feed has. Tests read it; those that publish use their own."""
    landing = ObjectStore(str(tmp_path_factory.mktemp("landing_2013")))
    publish(landing, until=date(2013, 12, 31))
    return landing


@pytest.fixture(scope="session")
def landed_2013(landing_2013: ObjectStore) -> dict[str, pl.DataFrame]:
    """Every table of the year as landed, typed."""
    return {table.name: pl.concat(_typed_files(landing_2013, table)) for table in TABLES}


@pytest.fixture(scope="session")
def split_2013(landed_2013: dict[str, pl.DataFrame]) -> dict[str, Split]:
    """Every table of the year, its valid and its rejected rows."""
    return {
        table.name: quarantine(
            landed_2013[table.name], table.rules, [*table.key, *([PARTITION_KEY] if table.is_partitioned else [])]
        )
        for table in TABLES
    }


@pytest.fixture(scope="session")
def cleaned_2013(split_2013: dict[str, Split]) -> dict[str, pl.DataFrame]:
    """Every table of the year, cleaned."""
    cleaned: dict[str, pl.DataFrame] = {}
    for table in TABLES:
        lookups = {name: cleaned[name].lazy() for name in table.lookups}
        cleaned[table.name] = table.clean(split_2013[table.name].valid.lazy(), lookups).collect()
    return cleaned


def _typed_files(landing: ObjectStore, table: SourceTable) -> Iterator[pl.DataFrame]:
    for arrival in table.source.arrivals(landing).values():
        frame = typed(table.source.read(landing, arrival).frame, table.columns, where=arrival.uri)
        yield frame.with_columns(pl.lit(arrival.partition).alias(PARTITION_KEY)) if table.is_partitioned else frame
