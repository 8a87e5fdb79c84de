"""The record of an answered row: one JSON object that says what was asked, seen and answered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from resources.serving.answers import Answer
from resources.serving.entries import Columns, Entry
from resources.serving.rows import Question
from resources.serving.service import Field, Signature

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = {
    "plain": ("size", "is it new?"),
    "quoted": ('size in "', "is it new?"),
    "other letters": ("Größe", "a\\b"),
}


def recorded(names: tuple[str, str], folder: Path, **personal: Any) -> dict[str, Any]:
    """What is kept of one answer to a row of features of these names."""
    fields = tuple(
        Field(name=name, dtype=dtype, is_required=False, description="", unit=None, personal=personal.get("personal"))
        for name, dtype in zip(names, (pl.Float64(), pl.Boolean()), strict=True)
    )
    signature = Signature(task="binary", inputs=fields, features=fields)
    answer = Answer(
        id="an answer",
        versions=(3,),
        task="binary",
        outputs=("probability",),
        scores=np.array([0.25]),
        prediction_times=None,
        missing_inputs=(),
    )
    entry = Entry(
        columns=Columns(signature, folder),
        answered_at=AT.timestamp(),
        request_id="a request",
        question=Question(kind="features", rows=((2.5, None),)),
        features=((2.5, None),),
        answer=answer,
        modes=("live",),
        latency_s=0.0012345,
        worker="a worker",
    )
    (line,) = entry.encode()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_values_are_kept_by_name_whatever_the_names(names: tuple[str, str], tmp_path: Path) -> None:
    assert recorded(names, tmp_path)["features"] == dict(zip(names, (2.5, None), strict=True))


def test_a_record_says_when_by_which_version_and_how_fast_was_answered(tmp_path: Path) -> None:
    said = recorded(NAMES["plain"], tmp_path)
    assert datetime.fromisoformat(said["answered_at"]) == AT
    assert (said["version"], said["mode"], said["score"], said["latency_ms"]) == (3, "live", 0.25, 1.234)
    assert (said["inputs"], said["prediction_time"], said["purpose"]) == (None, None, None)


def test_personal_values_are_not_kept(tmp_path: Path) -> None:
    assert recorded(NAMES["plain"], tmp_path, personal="drop")["features"] == {}
