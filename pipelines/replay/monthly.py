"""A model as a calendar alone would give it: the first champion's family, trained anew on the first of every month.

Belongs here: making these models beside the line. Does not belong here: what they say of the days (`contenders.py`).

Such a model learns from everything that is known that morning, with the default parameters of its family, and counts as
live from then on, whatever it is worth. It keeps no test window, so that its data are fresher than those of a model
that has to show first what it can do.
"""

import tempfile
from datetime import date
from pathlib import Path

import polars as pl

from assets.contracts import LABEL_KNOWN_AT, UseCase
from assets.logic.splits import known_classes
from assets.policies import TrainerSpec
from assets.stages.candidates import thinned, train
from assets.stages.common import day_of, table_name
from assets.stages.training_set import as_rows
from assets.trainers.base import Model, TrainingData
from assets.trainers.families import load_model
from pipelines.replay.folder import ONE_DAY, ReplayError
from pipelines.replay.outside import delivered_at
from pipelines.replay.world import World


def prepare_monthly(world: World, day: date) -> None:
    """Train a model on the first day of a month, when the day before is in; nothing on other days, or if it is there.

    Raises:
        ReplayError: If too little is known.
    """
    root = _root(world)
    if day.day != 1 or (root / str(day)).is_dir():
        return
    spec = _spec(world.use_case, initial_family(world))
    fit = train(spec, thinned(known_data(world, day), spec.training_rows, _unheard), _unheard)
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".") as room:
        whole = Path(room, "model")
        whole.mkdir()
        fit.model.save(whole)
        whole.rename(root / str(day))


def monthly_models(world: World) -> dict[date, Model]:
    """The models by the day on which each was trained, in order."""
    root = _root(world)
    found = sorted(p for p in root.iterdir() if not p.name.startswith(".")) if root.is_dir() else []
    return {date.fromisoformat(path.name): load_model(path) for path in found}


def known_data(world: World, day: date) -> TrainingData:
    """All rows whose label is known when a day begins, the last of them for validation.

    Raises:
        ReplayError: If there are none for training, or none for validation.
    """
    use_case = world.use_case
    known_at = delivered_at(use_case.partitions, day - ONE_DAY)
    found = (
        world.lake.scan(table_name(use_case, "features"))
        .filter(pl.col(use_case.target.name).is_not_null() & (pl.col(LABEL_KNOWN_AT) <= known_at))
        .collect()
        .sort(day_of(use_case), *use_case.row_order, maintain_order=True)
    )
    cut = day - use_case.split.validation
    earlier, later = found.filter(day_of(use_case) < cut), found.filter(day_of(use_case) >= cut)
    if earlier.is_empty() or later.is_empty():
        raise ReplayError(f"too little is known on {day} to train a model on it; begin the replay on a later day")
    classes = known_classes(earlier[use_case.target.name]) if use_case.task == "multiclass" else ()
    return TrainingData(
        task=use_case.task,
        classes=classes,
        features=use_case.features,
        train=as_rows(use_case, earlier, classes),
        validation=as_rows(use_case, later, classes),
        seed=use_case.seed,
    )


def initial_family(world: World) -> str:
    """The family of the first champion.

    Raises:
        ReplayError: If the line has not come up yet.
    """
    about = world.folder.about()
    if about.initial is None:
        raise ReplayError(f"the replay of {about.use_case} has no first champion yet")
    return world.registry.version(about.use_case, about.initial).family


def _spec(use_case: UseCase, family: str) -> TrainerSpec:
    """How the use case trains a family, without the search."""
    declared = next((spec for spec in use_case.trainers if spec.family == family), None)
    if declared is None:
        raise ReplayError(f"{use_case.name} does not train {family} any more, the family of the first champion")
    return TrainerSpec(
        family=family, search_trials=0, training_rows=declared.training_rows, parameters=declared.parameters
    )


def _root(world: World) -> Path:
    return world.folder.root / "monthly"


def _unheard(_: str) -> None:
    """Say nothing: a replay tells of its own days."""
