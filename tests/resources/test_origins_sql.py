"""Tables and queries are read from a real Postgres, whole or from an instant on; errors never show a password."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sqlalchemy import create_engine, text

from resources.delivery import Resume, deliver, delivered
from resources.errors import SettingsError, SourceError
from resources.objects import ObjectStore
from resources.origins_sql import SqlOrigin
from resources.sources import FileSource
from tests.support.postgres import PASSWORD, Postgres, running_postgres

VARIABLE = "SHOP_DATABASE_URL"
ORDERS = """
create schema if not exists shop;
create table shop.orders (
    id integer, code text, amount numeric(12, 2), weight double precision, paid boolean, day date,
    at timestamptz, local_at timestamp, extra jsonb, later integer, "Odd Name" text
);
insert into shop.orders
select n, lpad(n::text, 4, '0'), n * 1.10, n / 4.0, n % 2 = 0, date '2013-01-01' + n / 24,
    timestamptz '2013-01-01 00:00+00' + n * interval '1 hour', timestamp '2013-01-01 00:00' + n * interval '1 hour',
    '{"a": 1}', case when n > 90 then n end, 'x:y'
from generate_series(0, 99) n;
insert into shop.orders (id) values (100), (101);
create view shop.small as select id, code from shop.orders where id < 3;
"""


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def filled(postgres: Postgres) -> Postgres:
    engine = create_engine(postgres.url())
    with engine.begin() as connection:
        connection.execute(text(ORDERS))
    engine.dispose()
    return postgres


@pytest.fixture
def shop(filled: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    monkeypatch.setenv(VARIABLE, filled.url())
    return filled


def orders(**given: object) -> SqlOrigin:
    return SqlOrigin(**{"url_variable": VARIABLE, "table": "shop.orders", **given})  # type: ignore[arg-type]


@pytest.mark.usefixtures("shop")
def test_values_keep_the_types_they_have_and_decimals_are_exact_text() -> None:
    rows = orders(query="select * from shop.orders where id = 3", table=None).read().collect()
    assert rows.row(0, named=True) == {
        "id": 3,
        "code": "0003",
        "amount": "3.30",
        "weight": 0.75,
        "paid": False,
        "day": date(2013, 1, 1),
        "at": datetime(2013, 1, 1, 3, tzinfo=UTC),
        "local_at": datetime(2013, 1, 1, 3),  # noqa: DTZ001 - without a zone, as in the table
        "extra": '{"a": 1}',
        "later": None,
        "Odd Name": "x:y",
    }


@pytest.mark.usefixtures("shop")
def test_all_chunks_together_are_the_table() -> None:
    chunks = list(orders(chunk_rows=30).batches())
    assert [len(chunk) for chunk in chunks] == [30, 30, 30, 12]
    assert sorted(pl.concat(chunks)["id"]) == list(range(102))


@pytest.mark.usefixtures("shop")
def test_a_column_that_starts_empty_is_text_in_every_chunk() -> None:
    rows = pl.concat(orders(chunk_rows=30, time_column="at").batches())
    assert rows["later"].dtype == pl.String
    assert rows["later"].drop_nulls().to_list() == [str(n) for n in range(91, 100)]


@pytest.mark.usefixtures("shop")
def test_with_a_time_column_rows_come_by_time_and_those_without_one_first() -> None:
    rows = pl.concat(orders(time_column="at").batches())
    assert rows["at"].dtype == pl.Datetime("us", "UTC")
    assert rows["id"].to_list() == [*sorted(rows["id"].head(2)), *range(100)]
    assert sorted(rows["id"].head(2)) == [100, 101]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("column", ["at", "local_at"])
@pytest.mark.parametrize(
    "source", [{}, {"table": None, "query": "select * from shop.orders where ' :b' <> code and 'x' not like '%s' ;"}]
)
def test_since_an_instant_only_later_rows_are_read(column: str, source: dict[str, str | None]) -> None:
    since = datetime(2013, 1, 4, tzinfo=UTC)
    rows = pl.concat(orders(time_column=column, **source).batches(since))
    assert rows["id"].to_list() == list(range(72, 100))
    assert sum(len(b) for b in orders(time_column=column, **source).batches(since + timedelta(days=9))) == 0


@pytest.mark.usefixtures("shop")
def test_a_view_is_a_table() -> None:
    assert orders(table="shop.small").read().sort("id").collect()["code"].to_list() == ["0000", "0001", "0002"]


@pytest.mark.usefixtures("shop")
def test_a_query_that_names_a_column_twice_is_refused() -> None:
    with pytest.raises(SourceError, match=r"gives \['id'\] more than once"):
        orders(table=None, query="select id, id from shop.orders").read()


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "shop.absent"}, 'relation "shop.absent" does not exist'),
        ({"time_column": "absent"}, 'column "absent" does not exist'),
        ({"table": None, "query": "selec 1"}, "syntax error"),
    ],
)
def test_a_wrong_name_or_query_is_one_sentence(given: dict[str, str | None], message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        orders(**given).read()
    assert "\n" not in str(raised.value)
    assert VARIABLE in str(raised.value)


def test_a_refused_login_says_so_without_the_password(shop: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, shop.url(password="wrong-secret"))
    with pytest.raises(SourceError, match="authentication failed") as raised:
        orders().read()
    assert "wrong-secret" not in repr(raised.value)
    assert raised.value.__suppress_context__


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, Postgres(port=1).url())
    with pytest.raises(SourceError, match=f"Connection refused.* check the URL in {VARIABLE}") as raised:
        orders().read()
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("url", ["", "nonsense", "nodatabase://u:hidden@h/d", "postgresql+nodriver://u:hidden@h/d"])
def test_a_url_that_cannot_be_used_is_refused_by_the_name_of_its_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(SettingsError, match=VARIABLE) as raised:
        orders().read()
    assert "hidden" not in str(raised.value)


def test_a_url_in_the_place_of_a_variable_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="name of an environment variable") as raised:
        orders(url_variable="postgresql://u:hidden@h/d")
    assert "hidden" not in str(raised.value)


def test_a_table_and_a_query_exclude_one_another() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        orders(query="select 1")


def test_any_database_of_sqlalchemy_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'a.db'}")
    engine = create_engine(os.environ[VARIABLE])
    with engine.begin() as connection:
        connection.execute(text("create table t (a int, b text, at text)"))
        connection.execute(text("insert into t select 1, 'x', '2013-01-01 00:00:00'"))
        connection.execute(text("insert into t select 2, null, '2013-01-02 00:00:00'"))
    engine.dispose()
    origin = orders(table="t", time_column="at")
    assert origin.read().collect().rows() == [(1, "x", "2013-01-01 00:00:00"), (2, None, "2013-01-02 00:00:00")]
    assert [row for b in origin.batches(datetime(2013, 1, 1, 12, tzinfo=UTC)) for row in b["a"]] == [2]


def test_a_column_that_mixes_types_further_down_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path / 'a.db'}")
    engine = create_engine(os.environ[VARIABLE])
    with engine.begin() as connection:
        connection.execute(text("create table t (a)"))
        connection.execute(text("insert into t values (1), (2), ('three')"))
    engine.dispose()
    with pytest.raises(SourceError, match=r"mixes types in column 'a': 'three' is no Int64; cast it"):
        list(orders(table="t", chunk_rows=2).batches())
    assert_frame_equal(orders(table="t").read().collect(), pl.DataFrame({"a": ["1", "2", "three"]}))


def test_a_delivery_that_resumes_reads_only_new_rows_and_loses_none(shop: Postgres, tmp_path: Path) -> None:
    """Rows without a time stay in the first partition; the day that was delivered in part is completed."""
    landing, pattern = ObjectStore(str(tmp_path)), "grown_{partition}.parquet"
    key = pl.col("at").dt.date().cast(pl.String)
    origin = orders(table="shop.grown", time_column="at")
    engine = create_engine(shop.url())
    with engine.begin() as connection:
        connection.execute(text("create table shop.grown as select id, at from shop.orders where id < 80 or id > 99"))
    full = deliver(origin, landing, pattern, key)
    assert (full.rows, full.undated, delivered(landing, pattern)[-1]) == (82, 2, "2013-01-04")
    with engine.begin() as connection:
        connection.execute(text("insert into shop.grown select id, at from shop.orders where id between 80 and 99"))
    engine.dispose()
    resume = Resume(partition="2013-01-04", since=datetime(2013, 1, 3, tzinfo=UTC))
    assert sum(len(batch) for batch in origin.batches(resume.since)) == 52
    done = deliver(origin, landing, pattern, key, resume=resume)
    assert (done.written, done.rows) == (("2013-01-04", "2013-01-05"), 28)
    source = FileSource(pattern=pattern)
    lying = [source.scan(landing, a).collect() for a in source.arrivals(landing).values()]
    assert sorted(pl.concat(lying)["id"]) == list(range(102))
    assert deliver(origin, landing, pattern, key).written == ()
