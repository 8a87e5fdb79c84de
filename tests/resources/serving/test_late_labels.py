"""A label is one of its task, or it is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from resources.serving.late_labels import parse_labels
from resources.serving.rows import RequestError
from resources.serving.service import Field, Signature

NOW = datetime(2020, 1, 1, tzinfo=UTC)


def signature(task: Any) -> Signature:
    fields = (
        Field(name="tail", dtype=pl.String(), is_required=True, description=""),
        Field(name="day", dtype=pl.Date(), is_required=False, description=""),
    )
    return Signature(inputs=fields, features=(), task=task, entity=("tail", "day"))


def read(task: Any, label: object) -> object:
    body = json.dumps({"labels": [{"prediction_id": "p", "label": label}]}).encode()
    return parse_labels(body, signature(task), NOW)[0].label


@pytest.mark.parametrize(
    ("task", "label", "read_as"),
    [
        ("binary", True, 1),
        ("binary", 0.0, 0),
        ("multiclass", "late", "late"),
        ("regression", -3, -3.0),
        ("count", 12.0, 12),
    ],
)
def test_a_label_of_the_task_is_read(task: str, label: object, read_as: object) -> None:
    found = read(task, label)
    assert (found, type(found)) == (read_as, type(read_as))


@pytest.mark.parametrize(
    ("task", "label"),
    [
        ("binary", "1"),
        ("multiclass", 1),
        ("multiclass", ""),
        ("regression", True),
        ("regression", 1e300),
        ("regression", None),
        ("count", -1),
        ("count", 1.5),
        ("count", 10**16),
        ("count", 1e300),
    ],
)
def test_a_label_of_another_task_is_refused(task: str, label: object) -> None:
    with pytest.raises(RequestError, match=r"'label' is .* in label 0: send"):
        read(task, label)


def test_entity_values_have_the_types_of_their_fields_and_may_be_null_where_declared() -> None:
    body = b'{"labels": [{"entity": {"tail": "N1"}, "label": 1}, {"entity": {"tail": "N1", "day": "x"}, "label": 1}]}'
    with pytest.raises(RequestError, match="'day' is 'x' in label 1: send an ISO-8601 date"):
        parse_labels(body, signature("binary"), NOW)
    assert parse_labels(body.replace(b'"x"', b'"2020-01-01"'), signature("binary"), NOW)[0].entity == ("N1", None)
