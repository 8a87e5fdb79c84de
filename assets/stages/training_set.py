"""`training_set`: which rows, at which table versions, train, validate and test the next models.

Belongs here: writing the manifest, and reading rows back by it. Does not belong here: how days are split
(`assets/logic/splits.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from assets.code_version import code_version
from assets.contracts import LABEL_KNOWN_AT, Task, UseCase
from assets.logic.splits import (
    RowCounts,
    SplitError,
    TrainingManifest,
    Windows,
    count_rows,
    known_classes,
    split_days,
)
from assets.stages.cleaned import cleaned_code_version
from assets.stages.common import asset_facts, asset_key, day_of, table_name
from assets.stages.features import features_code_version
from assets.stages.influence import LOG, influenced, logged_versions, needed_columns
from assets.stages.raw import raw_code_version
from assets.trainers.base import Rows, TrainingData
from resources.clock import Clock
from resources.lake import Lake

DAY = "day"
NOTHING_KNOWN: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Before any label."""


def build_training_set(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that freezes what the next models are made from: a manifest, not a copy."""
    key = asset_key(use_case, "training_set")
    logged = () if use_case.target.influenced_by_answers == "no" else (LOG,)

    @dg.asset(
        key=key,
        deps=[
            dg.AssetDep(asset_key(use_case, name), partition_mapping=dg.AllPartitionMapping())
            for name in ("features", *logged)
        ],
        **asset_facts(use_case, "training_set", "json"),
        description="Exact table versions, the days of training, validation and test, row counts and the seed.",
        code_version=training_set_code_version(use_case),
        check_specs=[
            dg.AssetCheckSpec("windows_do_not_overlap", asset=key, blocking=True),
            dg.AssetCheckSpec(
                "every_window_has_labels_to_tell_apart",
                asset=key,
                blocking=True,
                description="Training, validation and test each hold rows with labels, and not all of them equal.",
            ),
        ],
    )
    def training_set(
        context: dg.AssetExecutionContext, lake: Lake, clock: Clock
    ) -> Iterator[dg.MaterializeResult[TrainingManifest]]:
        try:
            manifest = make_manifest(use_case, lake, clock.now())
        except SplitError as error:
            raise dg.Failure(description=f"{use_case.name}: {error}", allow_retries=False) from error
        windows = {name: str(window) for name, window in manifest.windows.named().items()}
        counts = {name: _counted(rows) for name, rows in manifest.rows.items()}
        context.log.info("; ".join(f"{name} {windows[name]}: {counts[name]}" for name in windows))
        yield dg.MaterializeResult(
            value=manifest,
            data_version=dg.DataVersion(manifest.id[:16]),
            metadata={
                "manifest": dg.MetadataValue.json({"id": manifest.id, "tables": dict(manifest.tables)}),
                "dagster/row_count": sum(rows.labelled for rows in manifest.rows.values()),
                "windows": dg.MetadataValue.md(_as_table(windows, counts)),
                "labels_known_through": str(manifest.known_through),
                **({} if manifest.left_out is None else {"left_out_as_answered": dict(manifest.left_out)}),
            },
            check_results=list(_check_results(manifest)),
        )

    return training_set


def training_set_code_version(use_case: UseCase) -> str:
    """Code version of a training set: how it is split, and that of every table behind it.

    Features made anew by other code may have the rows they had; what came of them is to be made anew all the same.
    """
    tables = [(raw_code_version(table), cleaned_code_version(table)) for table in use_case.tables]
    influence = use_case.target.influenced_by_answers
    more = () if influence == "no" else (influence,)
    values = (use_case.split, use_case.seed, use_case.task, tables, features_code_version(use_case), *more)
    return code_version(f"{__name__}:make_manifest", values=values)


def make_manifest(use_case: UseCase, lake: Lake, now: datetime) -> TrainingManifest:
    """The manifest of what the lake holds, with the labels that are known now.

    A table may hold labels that nobody knows yet: of a replay all of them, and those that a use case takes for known
    some days after they landed.

    Args:
        use_case: The declaration.
        lake: Where features are.
        now: The present (UTC).

    Raises:
        SplitError: If too few days are known.
    """
    features = table_name(use_case, "features")
    names = ["features", *(f"cleaned_{t.name}" for t in use_case.tables)]
    versions = {name: lake.version(table_name(use_case, name)) for name in names} | logged_versions(use_case, lake)
    if versions["features"] is None:
        raise SplitError("no features have been made yet; materialise features first")
    target = use_case.target.name
    frozen = lake.scan(features, version=versions["features"])
    found = frozen.filter(pl.col(LABEL_KNOWN_AT) <= now).select(pl.col(LABEL_KNOWN_AT).max()).collect().item()
    through = NOTHING_KNOWN if found is None else found
    label = pl.when(_is_known(use_case, through)).then(target).alias(target)
    tables = {name: number for name, number in versions.items() if number is not None}
    every = frozen.select(day_of(use_case).alias(DAY), label, *needed_columns(use_case)).collect()
    answered = influenced(use_case, lake, every, tables)
    rows = every if answered is None else every.filter(~answered)
    windows = split_days(rows.filter(pl.col(target).is_not_null())[DAY].unique().to_list(), use_case.split)
    in_training = rows.filter(windows.train.contains(pl.col(DAY)))[target]
    return TrainingManifest(
        use_case=use_case.name,
        tables=tables,
        windows=windows,
        rows=count_rows(rows, windows, day=DAY, target=target, binary=use_case.task == "binary"),
        features=tuple(use_case.feature_names),
        target=target,
        classes=known_classes(in_training) if use_case.task == "multiclass" else (),
        seed=use_case.seed,
        code_version=features_code_version(use_case),
        created_at=now,
        known_through=through,
        left_out=_left_out(use_case, every, answered, windows),
    )


def labelled_rows(use_case: UseCase, lake: Lake, manifest: TrainingManifest, window: str) -> pl.DataFrame:
    """The labelled feature rows of one window, exactly as the manifest froze them, in time order.

    `window` is `train`, `validation` or `test`. Whatever became of the table since, the rows are those of its version.

    Raises:
        dagster.Failure: If that version does not hold as many rows as were counted.
    """
    days = manifest.windows.named()[window]
    rows = lake.scan(table_name(use_case, "features"), version=manifest.tables["features"])
    wanted = days.contains(day_of(use_case)) & _is_known(use_case, manifest.known_through)
    there = rows.filter(wanted).collect()
    answered = influenced(use_case, lake, there, manifest.tables)
    found = there if answered is None else there.filter(~answered)
    found = found.sort(day_of(use_case), *use_case.row_order, maintain_order=True)
    expected = manifest.rows[window].labelled
    if len(found) != expected:
        raise dg.Failure(
            f"the {window} window of {use_case.name} had {expected} labelled rows when it was frozen and has "
            f"{len(found)} at version {manifest.tables['features']} of the feature table; make the training set anew",
            allow_retries=False,
        )
    return found


def _left_out(
    use_case: UseCase, rows: pl.DataFrame, answered: pl.Series | None, windows: Windows
) -> dict[str, int] | None:
    """Rows by window that are left out; None if the use case says that its answers change nothing."""
    if use_case.target.influenced_by_answers == "no":
        return None
    out = rows.clear() if answered is None else rows.filter(answered)
    return {name: len(out.filter(window.contains(pl.col(DAY)))) for name, window in windows.named().items()}


def _is_known(use_case: UseCase, through: datetime | None) -> pl.Expr:
    """Whether a row has a label that counts; one that nobody dated always does."""
    there = pl.col(use_case.target.name).is_not_null()
    return there if through is None else there & (pl.col(LABEL_KNOWN_AT) <= through).fill_null(True)


def as_rows(use_case: UseCase, rows: pl.DataFrame, classes: Sequence[str] = ()) -> Rows:
    """Feature rows as the model families take them; `classes` are those of the manifest, for a multiclass task."""
    return Rows(
        features=rows.select(use_case.feature_names),
        label=encoded_label(use_case.task, rows[use_case.target.name], classes),
        day=rows.select(day_of(use_case)).to_series().to_numpy().astype("datetime64[D]"),
    )


def encoded_label(
    task: Task, labels: pl.Series, classes: Sequence[str]
) -> npt.NDArray[np.int8] | npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """Labels as numbers, shape (n,): see `Rows.label`."""
    if task == "multiclass":
        codes = labels.replace_strict(list(classes), list(range(len(classes))), default=len(classes))
        return codes.to_numpy().astype(np.int64)
    return labels.to_numpy().astype(np.int8) if task == "binary" else labels.to_numpy().astype(np.float64)


def training_data(use_case: UseCase, lake: Lake, manifest: TrainingManifest) -> TrainingData:
    """What a family may look at: training and validation window, with the labels known before the test window began."""
    start = manifest.windows.test.start
    local = pl.datetime(start.year, start.month, start.day, time_zone=use_case.partitions.timezone)
    known = pl.col(LABEL_KNOWN_AT) < local.dt.convert_time_zone("UTC")
    parts = {name: labelled_rows(use_case, lake, manifest, name).filter(known) for name in ("train", "validation")}
    return TrainingData(
        task=use_case.task,
        classes=manifest.classes,
        features=use_case.features,
        train=as_rows(use_case, parts["train"], manifest.classes),
        validation=as_rows(use_case, parts["validation"], manifest.classes),
        seed=manifest.seed,
    )


def _check_results(manifest: TrainingManifest) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(check_name="windows_do_not_overlap", passed=_in_order(manifest.windows))
    short = {name: rows for name, rows in manifest.rows.items() if rows.distinct < 2}
    told = [f"{name} ({'all labels equal' if rows.labelled else 'no labels'})" for name, rows in short.items()]
    yield dg.AssetCheckResult(
        check_name="every_window_has_labels_to_tell_apart",
        passed=not short,
        description=f"Nothing to learn from in: {', '.join(told)}. Deliver more days." if short else None,
        metadata={name: _counted(rows) for name, rows in manifest.rows.items()},
    )


def _in_order(windows: Windows) -> bool:
    ordered = list(windows.named().values())
    return all(a.end < b.start for a, b in pairwise(ordered))


def _counted(rows: RowCounts) -> str:
    positives = "" if rows.positives is None else f", {rows.positives:,} positive"
    return f"{rows.labelled:,} labelled{positives}, {rows.unlabelled:,} without label"


def _as_table(windows: Mapping[str, str], counts: Mapping[str, str]) -> str:
    lines = [f"| {name} | {windows[name]} | {counts[name]} |" for name in windows]
    return "\n".join(["| window | days | rows |", "|---|---|---|", *lines])
