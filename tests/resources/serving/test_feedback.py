"""The journal of late labels: what it may hold, and what is said when it cannot be written."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from resources.serving.entries import Columns
from resources.serving.feedback import Feedback, LabelBatch
from resources.serving.late_labels import parse_labels
from resources.serving.metrics import Metrics
from resources.serving.rows import RequestError
from resources.serving.service import Field, ScoringService, Signature
from resources.serving.target import StateFolder
from tests.support.answers import read

NOW = datetime(2020, 1, 1, tzinfo=UTC)
BODY = b'{"labels": [{"entity": {"tail": "N1"}, "label": 1}]}'


def signature(personal: Any = None) -> Signature:
    tail = Field(name="tail", dtype=pl.String(), is_required=True, description="", personal=personal)
    return Signature(inputs=(tail,), features=(), entity=("tail",))


class Planes:
    """What the journal needs to know of a service."""

    use_case, description, signature = "planes", "", signature()


@pytest.mark.parametrize("personal", ["hash", "drop"])
def test_personal_values_of_an_entity_do_not_touch_disk(personal: str, tmp_path: Path) -> None:
    own = signature(personal)
    batch = LabelBatch(
        labels=parse_labels(BODY, own, NOW),
        ids=["1"],
        received_at=NOW,
        request_id="r",
        entity=own.entity,
        columns=Columns(own, tmp_path),
    )
    (kept,) = batch.encode()
    assert b"N1" not in kept


def test_a_journal_that_cannot_be_written_takes_no_label_and_says_so(tmp_path: Path) -> None:
    counter = Metrics("planes").labels
    made = Feedback(cast(ScoringService, Planes()), StateFolder(tmp_path), counter, lambda: NOW)
    folder = tmp_path / "feedback"
    folder.write_text("in the way")

    async def told() -> None:
        async with made.running():
            with pytest.raises(RequestError, match="send them again later") as refused:
                await made.take(BODY, "r")
            assert refused.value.status == 503
            folder.unlink()
            await made.take(BODY, "r")

    asyncio.run(told())
    assert [record["entity"] for record in read(folder).records] == [{"tail": "N1"}]
    assert next(sample.value for sample in counter.collect()[0].samples) == 1
