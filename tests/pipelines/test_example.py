"""The request that is shown asks what the use case needs, about a row that is there."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from pipelines.example import example_request
from pipelines.served import signature
from resources.lake import Commit, Lake
from resources.serving.protocol import parse_infer
from tests.support import few_days
from tests.support.few_days import FEW_DAYS, LAST
from tests.support.toy_use_case import TOY, parcels

URL = "http://127.0.0.1:8080/v2/models/x"
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


def lake(folder: Path, rows: pl.DataFrame) -> Lake:
    made = Lake(root=str(folder / "lake"))
    keyed = rows.with_columns(pl.col("due_at").dt.date().cast(pl.String).alias("partition_key"))
    keys = keyed["partition_key"].unique().to_list()
    made.write("parcels/cleaned_parcels", keyed, partitions=keys, commit=COMMIT)
    return made


def asked(text: str) -> dict[str, object]:
    command = shlex.split(text.splitlines()[-1])
    assert command[:2] == ["curl", f"{URL}/infer"]
    return {item["name"]: item["data"][0] for item in json.loads(command[-1])["inputs"]}


def test_it_is_the_question_about_the_last_row_as_the_endpoint_reads_it(tmp_path: Path) -> None:
    rows = parcels(200)
    text = example_request(TOY, lake(tmp_path, rows), URL)
    read = parse_infer(shlex.split(text.splitlines()[-1])[-1].encode(), signature(TOY))
    assert [*read.rows] == rows.sort("due_at").tail(1).select(TOY.inputs).rows()


def test_a_flight_is_asked_about_with_what_its_caller_knows(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = few_days.cleaned(tmp_path_factory.getbasetemp())
    inputs = asked(example_request(FEW_DAYS, home.lake, URL))
    assert set(FEW_DAYS.inputs) - set(FEW_DAYS.optional_inputs) <= inputs.keys() <= set(FEW_DAYS.inputs)
    assert str(inputs["scheduled_departure"])[:10] in (LAST, "2013-02-08")  # a local day ends on the next in UTC


def test_what_is_not_known_of_the_row_is_left_out_and_quotes_survive_the_shell(tmp_path: Path) -> None:
    rows = parcels(50).with_columns(shop=pl.lit('Zoë\'s "shop"'), weight_kg=pl.lit(None, pl.Float64))
    inputs = asked(example_request(TOY, lake(tmp_path, rows), URL))
    assert inputs["shop"] == 'Zoë\'s "shop"'
    assert "weight_kg" not in inputs


def test_a_row_that_lacks_what_is_required_is_not_asked_about(tmp_path: Path) -> None:
    rows = parcels(50).sort("due_at")
    last = rows["parcel"][-1]
    lacking = rows.with_columns(shop=pl.when(pl.col("parcel") != last).then("shop"), due_at=rows["due_at"][0])
    assert asked(example_request(TOY, lake(tmp_path, lacking), URL))["parcel"] != last


def test_without_a_row_it_says_where_to_ask(tmp_path: Path) -> None:
    empty = Lake(root=str(tmp_path / "lake"))
    empty.write("parcels/cleaned_parcels", parcels(5).head(0), partitions=None, commit=COMMIT)
    tables = tuple(replace(t, is_partitioned=False) if t.name == "parcels" else t for t in TOY.tables)
    text = example_request(replace(TOY, tables=tables), empty, URL)
    assert text == f"Ask the endpoint of parcels at {URL}/infer; GET {URL} says what it wants to know."
