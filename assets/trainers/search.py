"""Hyper-parameter search inside the training window, forward in time; validation and test are never looked at.

Belongs here: folds, sampling and the Optuna study. Does not belong here: what may be tried; each family's `suggest`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from assets.trainers.base import Parameters, Progress, Rows, Trainer, TrainingData
from assets.trainers.fitted import lesson_of
from assets.trainers.tasks import HEADS

if TYPE_CHECKING:
    import numpy.typing as npt
    import optuna

FOLDS: Final = 2
FOLD_DAYS: Final = 14
"""Two fortnights are scored: fewer days measure the weather of those days (days of one week differ by .2 AUC)."""
_VALIDATION_SHARE: Final = 1 / 3
"""Of the sampled rows of a fold, how many at most score it."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The best parameters, the trainer's defaults completed, and each trial with its parameters and the task's loss."""

    parameters: Parameters
    trials: Sequence[Mapping[str, float | int | str]] = field(default_factory=tuple)


def search(
    trainer: Trainer,
    data: TrainingData,
    *,
    trials: int,
    rows: int,
    seed: int,
    progress: Progress,
    fixed: Parameters | None = None,
) -> Search:
    """Try `trials` sets of parameters, the defaults first, and return the best; the same seed finds the same.

    Each is fitted on expanding windows of training days and scored on the fortnight after each: mean of the task's
    deciding loss before calibration. Optuna's tree-structured Parzen estimator draws them (Bergstra et al., "Algorithms
    for hyper-parameter optimization", 2011).

    Args:
        trainer: The family.
        data: Only `data.train` is used.
        trials: How many to try; 0 returns the defaults, as a family without anything to search does.
        rows: At most so many rows per fold, drawn evenly over its days, in time order.
        seed: Of the sample and of what is drawn.
        progress: Told after each trial.
        fixed: Parameters that are not searched.

    Raises:
        ValueError: If the training window has one day only.
    """
    given = {**trainer.defaults_for(data), **(fixed or {})}
    if trials < 1 or not trainer.defaults:
        return Search(parameters=given)
    folds = [fold for fold in _folds(data, rows, seed) if _can_be_learnt(fold, progress)]
    if not folds:
        progress(f"{trainer.family}: no fold of the training window can be learnt, so the defaults are taken")
        return Search(parameters=given)
    loss_name = HEADS[data.task].loss
    tried: list[dict[str, float | int | str]] = []

    def objective(trial: "optuna.Trial") -> float:
        started = time.perf_counter()
        drawn = {**trainer.suggest(trial, data), **(fixed or {})}
        loss = float(np.mean([_fold_loss(trainer, fold, {**given, **drawn}) for fold in folds]))
        tried.append({**drawn, loss_name: loss})
        seconds, said = time.perf_counter() - started, loss_name.replace("_", " ")
        progress(f"{trainer.family}: search {trial.number + 1} of {trials}, {said} {loss:.4f}, {seconds:.1f} s")
        return loss

    study = _study(seed)
    study.enqueue_trial(dict(given), skip_if_exists=True)
    study.optimize(objective, n_trials=trials)
    best = {k: v for k, v in tried[study.best_trial.number].items() if k != loss_name}
    return Search(parameters={**given, **best}, trials=tuple(tried))


def _study(seed: int) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed % 2**32))


def _fold_loss(trainer: Trainer, fold: TrainingData, parameters: Parameters) -> float:
    # Uncalibrated: the calibrator of the fold is fitted on the very labels that score it.
    metrics = trainer.fit(fold, parameters, _quiet).metrics
    return metrics[f"validation_{HEADS[fold.task].loss}_uncalibrated"]


def _quiet(_: str) -> None:
    """A fold's own progress would bury that of the search."""


def _can_be_learnt(fold: TrainingData, progress: Progress) -> bool:
    """Whether a family can be fitted on the fold: in a short window its rows may all have one label."""
    try:
        lesson_of(fold)
    except ValueError as error:
        progress(f"search: a fold is left out, because {error}")
        return False
    return True


def _folds(data: TrainingData, rows: int, seed: int) -> Iterator[TrainingData]:
    """Expanding folds: the last one is scored on the last fortnight of training, the one before on that before.

    With fewer than four days there is one fold only, scored on the last day.
    """
    days = np.unique(data.train.day)
    if len(days) < 2:
        raise ValueError(f"a search needs at least 2 training days, got {len(days)}; train with 0 trials")
    folds = FOLDS if len(days) >= 2 * FOLDS else 1
    length = min(FOLD_DAYS, len(days) // (2 * folds))
    random = np.random.default_rng(seed)
    for fold in range(folds, 0, -1):
        first, last = days[-fold * length], days[-(fold - 1) * length - 1]
        scored = np.flatnonzero((data.train.day >= first) & (data.train.day <= last))
        scored = _sample(scored, int(rows * _VALIDATION_SHARE), random)
        fitted = _sample(np.flatnonzero(data.train.day < first), rows - len(scored), random)
        train, validation = (_take(data.train, positions) for positions in (fitted, scored))
        yield replace(data, train=train, validation=validation)


def _sample(positions: "npt.NDArray[np.int64]", rows: int, random: np.random.Generator) -> "npt.NDArray[np.int64]":
    if len(positions) <= rows:
        return positions
    return np.sort(random.choice(positions, size=rows, replace=False))


def _take(rows: Rows, positions: "npt.NDArray[np.int64]") -> Rows:
    return Rows(features=rows.features[positions], label=rows.label[positions], day=rows.day[positions])
