"""Late labels against a real server process: what it takes is on disk, what it does not take says why."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.serving.client import Endpoint
from resources.serving.segment_reading import SegmentReader, segments
from tests.support.serving import (
    Reply,
    call,
    server_root,
    toy_endpoint,
)

BY_ID = {"prediction_id": "abc", "label": 1}
BY_ENTITY = {"entity": {"parcel": 12}, "label": False}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A server; labels need no version."""
    with toy_endpoint(tmp_path_factory.mktemp("live")) as endpoint:
        yield endpoint


def tell(endpoint: Endpoint, *labels: object) -> Reply:
    return call(f"{endpoint.url('parcels')}/feedback", {"labels": labels})


def journal(endpoint: Endpoint) -> list[dict[str, Any]]:
    folder = Path(endpoint.state_root) / "parcels" / "feedback"
    return [json.loads(record) for path in segments(folder) for record in SegmentReader(path).records()]


def test_labels_by_answer_and_by_entity_are_on_record_when_they_are_answered(live: Endpoint) -> None:
    before = len(journal(live))
    reply = tell(live, BY_ID | {"known_at": "2020-02-10T15:00:00+01:00", "row": 3}, BY_ENTITY)
    first, second = journal(live)[before:]
    assert (reply.status, reply.json) == (200, {"model_name": "parcels", "labels": 2})
    assert (first["prediction_id"], first["row"], first["entity"], first["label"]) == ("abc", 3, None, 1)
    assert (second["prediction_id"], second["row"], second["entity"], second["label"]) == (
        None,
        None,
        {"parcel": 12},
        0,
    )
    assert (first["known_at"], second["known_at"]) == ("2020-02-10T14:00:00+00:00", None)
    assert first["received_at"] == second["received_at"]
    assert first["label_id"] != second["label_id"]


def test_the_same_again_is_answered_the_same(live: Endpoint) -> None:
    first, second = (tell(live, BY_ID, BY_ENTITY) for _ in range(2))
    assert (first.status, first.content) == (second.status, second.content)


def test_what_was_answered_outlives_a_killed_server(tmp_path: Path) -> None:
    with toy_endpoint(tmp_path) as endpoint:
        for parcel in range(5):
            assert tell(endpoint, {"entity": {"parcel": parcel}, "label": 1}).status == 200
        os.kill(call(endpoint.url("parcels")).json["server"]["pid"], signal.SIGKILL)
        assert [record["entity"]["parcel"] for record in journal(endpoint)] == [0, 1, 2, 3, 4]


def test_labels_on_record_are_counted(live: Endpoint) -> None:
    def counted() -> float:
        page = call(f"{server_root(live)}/metrics").content.decode()
        return float(page.split("\nthroughline_feedback_labels_total ")[1].split()[0])

    before = counted()
    tell(live, BY_ID, BY_ENTITY)
    tell(live, BY_ID, {"label": 1})
    assert counted() - before == 2


@pytest.mark.parametrize(
    ("label", "field", "said"),
    [
        ("x", "labels", "label 1 must be an object"),
        ({"label": 1}, "prediction_id", "label 1 must say what it is about"),
        (BY_ID | BY_ENTITY, "prediction_id", "label 1 must say what it is about"),
        (BY_ENTITY | {"row": 0}, "prediction_id", "label 1 must say what it is about"),
        (BY_ID | {"colour": 1}, "colour", "'colour' in label 1 is none of"),
        (BY_ID | {"prediction_id": ""}, "prediction_id", "'prediction_id' is '' in label 1: send a text"),
        (BY_ID | {"row": 1000}, "row", "'row' is 1000 in label 1: send a whole number from 0 to 999"),
        (BY_ID | {"label": 2}, "label", "'label' is 2 in label 1: send 0 or 1"),
        (BY_ID | {"label": None}, "label", "'label' is None in label 1: send 0 or 1"),
        ({"prediction_id": "abc"}, "label", "'label' is None in label 1: send 0 or 1"),
        (BY_ID | {"known_at": "2020-02-10T15:00:00"}, "known_at", "label 1: the time has no zone"),
        (BY_ID | {"known_at": "2199-02-10T15:00:00Z"}, "known_at", "label 1: it lies in the future"),
        ({"entity": 3, "label": 1}, "entity", "'entity' in label 1 must be an object with ['parcel']"),
        ({"entity": {}, "label": 1}, "parcel", "'parcel' is missing, or null, in label 1"),
        ({"entity": {"parcel": 1.5}, "label": 1}, "parcel", "'parcel' is 1.5 in label 1: send a whole number"),
        ({"entity": {"parcel": 1, "shop": "n"}, "label": 1}, "shop", "'shop' in label 1 is none of ['parcel']"),
    ],
)
def test_a_label_that_is_none_is_named_with_its_field_and_nothing_is_taken(
    live: Endpoint, label: object, field: str, said: str
) -> None:
    before = len(journal(live))
    reply = tell(live, BY_ID, label)
    assert (reply.status, reply.json["field"]) == (400, field)
    assert said in reply.json["error"]
    assert len(journal(live)) == before


@pytest.mark.parametrize("body", [b"{", b"[]", {"labels": []}, {"labels": {}}, {"labels": [BY_ID], "more": 1}])
def test_a_body_that_holds_no_labels_is_refused(live: Endpoint, body: object) -> None:
    assert call(f"{live.url('parcels')}/feedback", body).status == 400


def test_more_labels_than_rows_of_a_request_are_refused(live: Endpoint) -> None:
    assert tell(live, *[BY_ID] * 1000).status == 200
    assert tell(live, *[BY_ID] * 1001).status == 413


def test_the_page_for_people_has_an_example_that_is_taken(live: Endpoint) -> None:
    described = call(f"{server_root(live)}/openapi.json").json["paths"]["/v2/models/parcels/feedback"]["post"]
    example = described["requestBody"]["content"]["application/json"]["example"]
    assert call(f"{live.url('parcels')}/feedback", example).status == 200
