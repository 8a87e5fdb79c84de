"""A request that a person can paste into a shell: the question about a row that the lake holds.

Belongs here: writing it. Does not belong here: the protocol (`resources/serving`).
"""

import json
import shlex
from datetime import date, datetime

import polars as pl

from assets.contracts import PARTITION_KEY, UseCase
from assets.stages.common import table_name
from resources.lake import Lake
from resources.serving.protocol import datatype, iso


def example_request(use_case: UseCase, lake: Lake, url: str) -> str:
    """What to type to ask the endpoint at `url` about the last row of the entity table, by its event time.

    Optional inputs that are not known of it are left out.

    Raises:
        LakeError: If the entity table has not been made.
    """
    frame = last_row(use_case, lake)
    if frame.is_empty():
        return f"Ask the endpoint of {use_case.name} at {url}/infer; GET {url} says what it wants to know."
    inputs = [
        {"name": column.name, "shape": [1], "datatype": datatype(column.dtype), "data": [_plain(column.item())]}
        for column in frame
        if column.null_count() == 0
    ]
    data = shlex.quote(json.dumps({"inputs": inputs}, ensure_ascii=False))
    header = "--header 'Content-Type: application/json'"
    return f"Ask the endpoint of {use_case.name}:\n  curl {url}/infer {header} --data {data}"


def last_row(use_case: UseCase, lake: Lake) -> pl.DataFrame:
    """The inputs of the last row of the entity table in which all required ones are known, shape (0 or 1, inputs)."""
    name = table_name(use_case, f"cleaned_{use_case.entity_table}")
    rows = lake.scan(name)
    if use_case.table(use_case.entity_table).is_partitioned and (known := lake.partitions(name)):
        rows = rows.filter(pl.col(PARTITION_KEY) == max(known))
    required = [n for n in use_case.inputs if n not in use_case.optional_inputs]
    return rows.select(use_case.inputs).drop_nulls(required).collect().sort(use_case.event_time).tail(1)


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return iso(value)
    return str(value) if isinstance(value, date) else value
