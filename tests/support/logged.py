"""A home of the toy use case in which an endpoint answered: real segments, a real lake, the asset materialised."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.stages.prediction_log import build_prediction_log
from resources.lake import Commit, Lake
from resources.serving.checked_lines import line_of
from resources.serving.client import Endpoint
from resources.serving.log_policy import LogPolicy
from resources.serving.logged import (
    LoggedSegment,
    feedback_folder,
    label_segments,
    log_folder,
    logged_segments,
)
from resources.serving.segment_writer import SegmentWriter
from resources.serving.segments import worker_name
from tests.support.serving import offline_features
from tests.support.toy_use_case import TOY, parcels, storms

DAY = "2020-02-10"
Build = Callable[[UseCase], dg.AssetsDefinition]
COMMIT = Commit(dagster_run_id="a test", code_version="a test")


def answers(day: str = DAY, count: int = 20, **changed: Any) -> list[dict[str, Any]]:
    """Records of answers about parcels of a day, each given at its prediction time; values by name are changed."""
    asked = pl.col("due_at") - TOY.prediction_lead
    rows = parcels().filter((pl.col("due_at").dt.date() == asked.dt.date()) & (asked.dt.date().cast(pl.String) == day))
    rows = rows.head(count)
    built = offline_features(rows)
    features = built.select(TOY.feature_names).to_dicts()
    inputs = rows.select(TOY.inputs).to_dicts()
    return [
        {
            "answered_at": at,
            "prediction_id": f"{day}-{n:04}",
            "row": 0,
            "request_id": "r",
            "purpose": None,
            "mode": "live",
            "version": 3,
            "family": "catboost",
            "worker": "w",
            "latency_ms": 1.5,
            PREDICTION_TIME: at,
            "inputs": inputs[n],
            "features": features[n],
            "score": 0.25,
            **changed,
        }
        for n, at in enumerate(built[PREDICTION_TIME])
    ]


def encoded(records: Iterable[Mapping[str, Any]]) -> bytes:
    def said(value: object) -> str:
        assert isinstance(value, datetime)
        return value.isoformat()

    return b"".join(line_of(json.dumps(record, default=said).encode()) for record in records)


@dataclass(frozen=True)
class LoggedHome:
    """An endpoint's state folder, and a lake with the cleaned tables."""

    folder: Path
    use_case: UseCase = TOY

    @property
    def lake(self) -> Lake:
        return Lake(root=str(self.folder / "lake"))

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(port=1, state_root=str(self.folder / "serving"), home=str(self.folder))

    @property
    def log(self) -> Path:
        return log_folder(self.endpoint, self.use_case.name)

    @property
    def segments(self) -> list[LoggedSegment]:
        return logged_segments(self.log)

    def land(self, *, until: str = "2020-03-01") -> None:
        """Fill the cleaned tables up to a day, this one included."""
        rows = parcels().with_columns(pl.col("due_at").dt.date().cast(pl.String).alias(PARTITION_KEY))
        there = rows.filter(pl.col(PARTITION_KEY) <= until)
        keys = there[PARTITION_KEY].unique().to_list()
        name = self.use_case.name
        self.lake.write(f"{name}/cleaned_parcels", there, partitions=keys, commit=COMMIT)
        self.lake.write(f"{name}/cleaned_storms", storms(), partitions=None, commit=COMMIT)

    def answer(self, records: Iterable[Mapping[str, Any]], *, is_sealed: bool = True) -> SegmentWriter:
        """Write records into a segment of their own."""
        writer = SegmentWriter(self.log, worker_name(), LogPolicy())
        writer.write(encoded(records))
        if is_sealed:
            writer.close()
        return writer

    def tell(self, labels: Iterable[Mapping[str, Any]]) -> None:
        """Write labels into a segment of the journal of their own."""
        writer = SegmentWriter(feedback_folder(self.endpoint, self.use_case.name), worker_name(), LogPolicy())
        writer.write(encoded(labels))
        writer.close()

    @property
    def label_segments(self) -> list[LoggedSegment]:
        return label_segments(self.endpoint, self.use_case.name)

    def materialise(
        self, first: str = DAY, last: str | None = None, build: Build = build_prediction_log
    ) -> dg.ExecuteInProcessResult:
        ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize(
                [build(self.use_case)],
                instance=instance,
                resources={"lake": self.lake, "endpoint_server": self.endpoint},
                tags=dict(zip(ends, (first, last or first), strict=True)),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

    def rows(self, table: str = "prediction_log") -> pl.DataFrame:
        frame = self.lake.scan(f"{self.use_case.name}/{table}").collect()
        return frame.sort(frame.columns)

    def files(self) -> dict[str, bytes]:
        """All that the lake holds of the log, byte by byte."""
        folder = self.folder / "lake" / self.use_case.name
        found = [*folder.glob("prediction_log*/**/*"), *folder.glob("feedback*/**/*")]
        return {str(p): p.read_bytes() for p in found if p.is_file()}


def label(number: int, *, at: datetime, **changed: Any) -> dict[str, Any]:
    """A record of the journal: a label of parcel 12 as it came at some time; values by name are changed."""
    told: dict[str, Any] = {
        "received_at": at,
        "label_id": f"w-{number:012}",
        "prediction_id": None,
        "row": None,
        "entity": {"parcel": 12},
        "label": 1,
        "known_at": None,
        "request_id": "r",
    }
    return told | changed


def later(records: Iterable[dict[str, Any]], by: timedelta) -> list[dict[str, Any]]:
    """The same, answered later."""
    return [record | {"answered_at": record["answered_at"] + by} for record in records]
