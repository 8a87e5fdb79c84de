"""What three models say of the replayed days: the live one, the first champion never retrained, a monthly one.

Belongs here: bringing their answers together, row by row. Does not belong here: how the monthly ones are made
(`monthly.py`), and how good the answers are (`scores.py`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PARTITION_KEY, PREDICTION_TIME, UseCase
from assets.logic.classes import in_terms_of
from assets.logic.metrics import Floats, Labels
from assets.stages.common import day_of, table_name
from assets.stages.training_set import as_rows
from assets.trainers.base import Model
from assets.trainers.families import load_model
from pipelines.replay.folder import ReplayError
from pipelines.replay.monthly import monthly_models
from pipelines.replay.world import World

LIVE: Final = "live"
NEVER: Final = "never"
MONTHLY: Final = "monthly"
CONTENDERS: Final = (LIVE, NEVER, MONTHLY)
TITLES: Final[Mapping[str, str]] = {LIVE: "Live", NEVER: "Never retrained", MONTHLY: "Retrained monthly"}
SAID: Final = "said_"
"""Prefix of the columns of the score table, which may be called like a feature."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Rows of the replayed days with a label, and what each contender said of them.

    Attributes:
        label: As in `score`, shape (n,).
        day: Local day of each row, shape (n,), ascending.
        predictions: By contender, as in `score`, shape (n,) or (n, width). Those of the live model are what the line
            wrote down at the time.
        unscored: Rows with a label that the line never scored; they are left out.
    """

    label: Labels
    day: npt.NDArray[np.datetime64]
    predictions: Mapping[str, Floats]
    unscored: int


def answers_between(world: World, first: date, last: date) -> Answers | None:
    """What everybody said of the days from `first` to `last`; None if the line scored no row that has a label."""
    use_case = world.use_case
    rows = _rows_with_scores(world, first, last)
    is_labelled = pl.col(use_case.target.name).is_not_null() & day_of(use_case).is_between(first, last)
    is_scored = pl.col(f"{SAID}model_version").is_not_null()
    kept = rows.select(is_labelled & is_scored).to_series()
    if not kept.any():
        return None
    initial = _initial_model(world)
    terms = initial.outputs if use_case.task == "multiclass" else ()
    known = as_rows(use_case, rows.filter(kept), terms[:-1])
    order, at = np.argsort(known.day, kind="stable"), kept.to_numpy()
    never, monthly = {date.min: initial}, {date.min: initial, **monthly_models(world)}
    return Answers(
        label=known.label[order],
        day=known.day[order],
        predictions={
            LIVE: written_down(rows.filter(kept), initial.outputs, terms)[order],
            NEVER: _predicted(use_case, never, rows, terms)[at][order],
            MONTHLY: _predicted(use_case, monthly, rows, terms)[at][order],
        },
        unscored=int(rows.select((is_labelled & ~is_scored).sum()).item()),
    )


def _rows_with_scores(world: World, first: date, last: date) -> pl.DataFrame:
    """All feature rows of these partitions, in the order in which they were scored, with the score table's columns.

    These are null where a row has not been scored. Rows that share all that identifies them are told apart by their
    place among each other.
    """
    use_case, lake = world.use_case, world.lake
    keys = use_case.partitions.between(use_case.partitions.key(first), use_case.partitions.key(last))
    identity = [PARTITION_KEY, *(use_case.entity or (use_case.event_time,)), PREDICTION_TIME]
    place = pl.int_range(pl.len()).over(identity).alias(f"{SAID}place")
    rows = lake.scan(table_name(use_case, "features"), partitions=keys).collect()
    rows = rows.sort(PARTITION_KEY, *use_case.row_order, maintain_order=True).with_columns(place)
    scores = lake.scan(table_name(use_case, "predictions"), partitions=keys).collect().with_columns(place)
    beside = scores.select(*identity, f"{SAID}place", pl.exclude(*identity, f"{SAID}place").name.prefix(SAID))
    return rows.join(beside, on=[*identity, f"{SAID}place"], how="left", maintain_order="left")


def written_down(rows: pl.DataFrame, outputs: Sequence[str], terms: Sequence[str]) -> Floats:
    """What the line wrote down at the time, as in `score`.

    Args:
        rows: With the columns of the score table, each after `SAID`.
        outputs: What a model of the use case says, by column; see `Model.outputs`.
        terms: Of a multiclass task, the classes to answer in; else none.
    """
    if not terms:
        return _flat(rows.select(f"{SAID}{name}" for name in outputs).to_numpy())
    told = np.empty((len(rows), len(terms)))
    classes = rows[f"{SAID}classes"].to_list()
    for known in {tuple(c) for c in classes}:  # versions may know other classes
        at = np.array([tuple(c) == known for c in classes])
        said = np.array(rows.filter(pl.Series(at))[f"{SAID}probabilities"].to_list())
        told[at] = in_terms_of(said, known, terms)
    return told


def _predicted(use_case: UseCase, models: Mapping[date, Model], rows: pl.DataFrame, terms: Sequence[str]) -> Floats:
    """What the newest model of each day says of it, shape (n,) or (n, width).

    A partition is predicted by itself, as it is where the line scores it: sums over a batch depend in their last bits
    on its size, and a model that says the same must not seem to say something else.
    """
    begins = sorted(models)
    day = rows.select(day_of(use_case)).to_series().to_numpy().astype("datetime64[D]")
    newest = np.searchsorted(np.array([str(d) for d in begins], dtype="datetime64[D]"), day, side="right") - 1
    parts = rows.with_columns(pl.Series(f"{SAID}by", newest)).partition_by(
        PARTITION_KEY, f"{SAID}by", maintain_order=True
    )
    said = []
    for part in parts:
        model = models[begins[part[f"{SAID}by"][0]]]
        told = model.predict(part.select(use_case.feature_names))
        said.append(in_terms_of(told, model.outputs, terms) if terms else told)
    return np.concatenate(said)


def _initial_model(world: World) -> Model:
    about = world.folder.about()
    if about.initial is None:
        raise ReplayError(f"the replay of {about.use_case} has no first champion yet")
    with tempfile.TemporaryDirectory() as room:
        version = world.registry.version(about.use_case, about.initial)
        return load_model(world.registry.download(version, Path(room)))


def _flat(said: Floats) -> Floats:
    return said[:, 0] if said.shape[1] == 1 else said
