"""Trying a model family in a notebook, on the rows and with the steps of the line.

Belongs here: fitting a function that returns an estimator, and measuring it beside the champion. Does not belong here:
judging on the test window; that is the line's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.contracts import Task, UseCase
from assets.logic.splits import TrainingManifest
from assets.policies import TrainerSpec
from assets.trainers.base import Fit, Model, Parameters, Progress, Rows, TrainingData
from pipelines.notebook_stores import loaded, resources_here

if TYPE_CHECKING:
    from resources.registry import MlflowModelRegistry


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a family may learn from, and the test rows kept apart from it.

    Attributes:
        training: Training and validation window: what the line hands to each family.
        test: The unseen rows, on which the line alone judges. Whoever chooses by them has no unseen rows left.
        manifest: Days, table versions and row counts of all three windows.
    """

    use_case: UseCase = field(repr=False)
    training: TrainingData = field(repr=False)
    test: Rows = field(repr=False)
    manifest: TrainingManifest


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A family that was tried.

    Attributes:
        fit: The fitted model, and how it came to be.
        scores: The deciding loss on the validation window (lower is better), beside that of the champion, if there is
            one; columns `model`, `family` and the name of the loss. All are calibrated on that window, so all look a
            little better than they are.
        remark: What keeps the two from being compared fairly; empty if nothing does.
    """

    fit: Fit = field(repr=False)
    scores: pl.DataFrame
    remark: str = ""

    @property
    def model(self) -> Model:
        """The fitted model."""
        return self.fit.model


def try_family(
    function: Callable[[Task, int], Any],
    data: Prepared,
    *,
    parameters: Parameters | None = None,
    progress: Progress = lambda _: None,
) -> Trial:
    """Fit a family as the line would fit it, and measure it on the validation window beside the champion.

    Args:
        function: `(task, seed) -> unfitted scikit-learn estimator`. Moved to a module, it is a family of the line:
            `TrainerSpec(family="package.module:function")`.
        data: What `training_data` gives.
        parameters: Passed to `set_params` of the estimator.
        progress: Told after each step, such as `print`.

    Raises:
        DeclarationError: If the function does not return an estimator that suits the task.
    """
    from assets.stages.candidates import thinned
    from assets.trainers.estimator import EstimatorTrainer

    trainer = EstimatorTrainer(family=f"{function.__module__}:{function.__name__}", function=function)
    rows = thinned(data.training, TrainerSpec.training_rows, progress)
    fit = trainer.fit(rows, parameters or {}, progress)
    rivals, remark = _rivals(data, fit.model)
    return Trial(
        fit=fit, scores=_scores({("tried", function.__name__): fit.model, **rivals}, data.training), remark=remark
    )


def _rivals(data: Prepared, tried: Model) -> tuple[dict[tuple[str, str], Model], str]:
    """The champion, if it can be measured on the same rows, and what is to be said of the comparison."""
    from assets.stages.candidates import MANIFEST_TAG
    from assets.trainers.encoding import FeatureError

    registry: MlflowModelRegistry = resources_here()["registry"]
    version = registry.champion(data.use_case.name)
    if version is None:
        return {}, "There is no champion yet."
    champion = loaded(registry, version)
    if champion.outputs != tried.outputs:
        return {}, f"The champion {version} answers {list(champion.outputs)}, and cannot be compared."
    try:
        champion.predict(data.training.validation.features.head(1))
    except FeatureError as error:
        return {}, f"The champion {version} cannot be compared: {error}."
    is_fair = registry.tags(version).get(MANIFEST_TAG) == data.manifest.id
    remark = "" if is_fair else f"The champion {version} learnt from another training set; it may have seen these rows."
    return {(f"champion {version}", champion.family): champion}, remark


def _scores(models: Mapping[tuple[str, str], Model], data: TrainingData) -> pl.DataFrame:
    """The deciding loss of each model on the validation window."""
    from assets.logic.metrics import score, task_metrics

    loss, rows = task_metrics(data.task).loss, data.validation
    values = [score(data.task, rows.label, model.predict(rows.features))[loss].value for model in models.values()]
    names, families = zip(*models, strict=True)
    return pl.DataFrame({"model": names, "family": families, loss: values})
