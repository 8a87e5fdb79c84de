"""The neural network: embeddings of categories and standardised numbers into a small perceptron, with torch.

Belongs here: its parameters, and how the model is kept.
Does not belong here: layers and gradients (`network.py`), the training loop (`network_training.py`), and what the
network sees of a table (`network_encoding.py`).
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import polars as pl

from assets.trainers import network, network_training
from assets.trainers.base import Fit, Parameters, Progress, Rows, TrainingData
from assets.trainers.calibration import Floats
from assets.trainers.description import Description, describe, library_versions
from assets.trainers.encoding import Table, names_of
from assets.trainers.fitted import FittedModel, complete, finish, lesson_of
from assets.trainers.network_encoding import Encoder
from assets.trainers.scaling import common_enough

if TYPE_CHECKING:
    import optuna
    import torch

WEIGHTS_FILE: Final = "weights.safetensors"
_THREADS: Final = 1
"""Layers this small cost more to divide than to compute: on 2 busy cores 161,000 rows took 14 s with one thread and
88 s with two, which wait for each other at every layer. The weights were the same."""
_DEFAULTS: Final[Parameters] = {
    "epochs": 12,
    "patience": 5,
    "batch_size": 1024,
    "learning_rate": 1e-3,
    "weight_decay": 0.05,
    "width": 96,
    "dropout": 0.3,
    "minimum_count": 100,
}
"""With a step of 2e-3 the network is best after its first pass over 161,000 rows and only gets worse (0.5054 on
the validation month); with 1e-3 it learns for seven passes, past two in which it gets no better (0.5014)."""
_SMALLEST_BATCH: Final = 32
_BATCHES: Final = 40
"""How many batches a pass through a small table has, about."""
_STEPS: Final = 1_500
"""How often the weights should be changed, at least; 12 passes through 161,000 rows change them 1,900 times."""
_OF_A_CURVE: Final[Parameters] = {"learning_rate": 3e-3, "dropout": 0.1}
"""A quantity has a whole curve to be followed, not one boundary: 1,000 steps twice as long as those of classes left the
network underfitted with their dropout (absolute error 2.16 on 1,000 rows), and not with this one (1.85)."""
_MOST_EPOCHS: Final = 100


class NeuralNetworkModel(FittedModel):
    """A fitted network; it predicts on the CPU in float64, wherever it was trained."""

    def __init__(self, description: Description, net: network.Network) -> None:
        super().__init__(description)
        net.module.to("cpu").double().eval()
        self._net = net
        self._encoder = Encoder(**description.fitted["encoder"])

    def _reference(self) -> Floats:
        """Scores of the average training row."""
        import torch

        with torch.inference_mode():
            return np.asarray(self._net.perceptron(self._reference_input()).numpy(), dtype=np.float64)

    def _reference_input(self) -> "torch.Tensor":
        return network.reference_input(self._net, self._encoder.shares, np.array(self._encoder.number_means))

    def _scores(self, features: Table) -> Floats:
        return network.scores(self._net, *self._encoder.encode(features, self.features))

    def _explain(self, features: pl.DataFrame, weights: Floats) -> Floats:
        """Integrated gradients from the average training row, embeddings and indicators added to their feature."""
        codes, numbers = self._encoder.encode(features, self.features)
        parts = network.contributions(self._net, codes, numbers, self._reference_input(), weights)
        numeric, categorical = names_of(self.features, "numeric"), names_of(self.features, "categorical")
        owners = np.repeat(categorical, network.embedding_sizes(self._encoder.table_sizes)).tolist()
        owners += [*numeric, *(numeric[g] for g in self._encoder.gaps)]
        fold = np.array([[owner == f.name for f in self.features] for owner in owners], dtype=np.float64)
        return np.asarray(parts @ fold, dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Write `model.json` and the weights as safetensors."""
        from safetensors.torch import save_file

        self.description.write(folder)
        # Trained in float32, so nothing is lost by keeping them so.
        save_file({k: v.float().contiguous() for k, v in self._net.module.state_dict().items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.torch import load_file

        description = Description.read(folder)
        net = _build(Encoder(**description.fitted["encoder"]), description.parameters, description.calibrator.width)
        net.module.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return cls(description, net)


class NeuralNetworkTrainer:
    """Trains on a GPU where there is one. On the CPU the same seed gives the same weights."""

    family = "neural_network"
    defaults: Parameters = _DEFAULTS

    def defaults_for(self, data: TrainingData) -> Parameters:
        """Small tables get smaller batches and more passes, so that the weights take enough steps all the same."""
        rows = len(data.train.label)
        batch = min(int(_DEFAULTS["batch_size"]), max(_SMALLEST_BATCH, 2 ** round(math.log2(rows / _BATCHES))))
        epochs = min(_MOST_EPOCHS, max(int(_DEFAULTS["epochs"]), round(_STEPS / math.ceil(rows / batch))))
        return {
            **_DEFAULTS,
            **(_OF_A_CURVE if _is_curve(data) else {}),
            "batch_size": batch,
            "epochs": epochs,
            "patience": max(int(_DEFAULTS["patience"]), epochs // 6),
            "minimum_count": common_enough(rows, int(_DEFAULTS["minimum_count"])),
        }

    def suggest(self, trial: "optuna.Trial", data: TrainingData) -> Parameters:
        """Step, penalty and dropout; the number of epochs follows from early stopping."""
        steps, dropouts = ((1e-3, 1e-2), (0.0, 0.3)) if _is_curve(data) else ((3e-4, 3e-3), (0.1, 0.5))
        return {
            "learning_rate": trial.suggest_float("learning_rate", *steps, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
            "dropout": trial.suggest_float("dropout", *dropouts),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`."""
        import torch

        started = time.perf_counter()
        lesson = lesson_of(data)
        chosen = complete(self.defaults_for(data), parameters, self.family)
        encoder = Encoder.fit(data.train.features, data.features, int(chosen["minimum_count"]))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rows, validation = (
            _tensors(r, lesson.data, encoder, device) for r in (lesson.data.train, lesson.data.validation)
        )
        with network_training.seeded(data.seed), _threads():
            net = _build(encoder, chosen, lesson.width)
            net.module.to(device)
            weights = sum(p.numel() for p in net.module.parameters())
            progress(f"neural_network: {len(rows.label)} rows, {weights} weights, training on {device.type}")
            loss = network_training.LOSSES[data.task]
            curves = network_training.train(net, rows, validation, _schedule(chosen), loss, progress)
        libraries = library_versions("torch", "safetensors")
        model = NeuralNetworkModel(describe(self.family, lesson, chosen, libraries, {"encoder": vars(encoder)}), net)
        return finish(
            model,
            lesson,
            started=started,
            metrics={"best_iteration": float(curves.best_epoch)},
            curves={"train": curves.train, "validation": curves.validation},
        )


def _is_curve(data: TrainingData) -> bool:
    return data.task in ("regression", "count")


def _build(encoder: Encoder, chosen: Parameters, scores: int) -> network.Network:
    numbers = len(encoder.number_means)
    return network.build(encoder.table_sizes, numbers, int(chosen["width"]), float(chosen["dropout"]), scores)


def _schedule(chosen: Parameters) -> network_training.Schedule:
    return network_training.Schedule(
        epochs=int(chosen["epochs"]),
        patience=int(chosen["patience"]),
        batch_size=int(chosen["batch_size"]),
        learning_rate=float(chosen["learning_rate"]),
        weight_decay=float(chosen["weight_decay"]),
    )


def _tensors(rows: Rows, data: TrainingData, encoder: Encoder, device: "torch.device") -> network_training.Tensors:
    import torch

    codes, numbers = encoder.encode(rows.features, data.features)
    label = rows.label.astype(np.int64 if data.task == "multiclass" else np.float32)
    return network_training.Tensors(
        codes=torch.from_numpy(codes).to(device),
        numbers=torch.from_numpy(numbers.astype(np.float32)).to(device),
        label=torch.from_numpy(label).to(device),
    )


@contextmanager
def _threads() -> Iterator[None]:
    """`_THREADS` for the training, and the process's own setting again afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(_THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)


MODEL: Final = NeuralNetworkModel
TRAINER: Final = NeuralNetworkTrainer()
