"""The neural network: embeddings of categories and standardised numbers into a small perceptron, with torch.

Belongs here: what is fitted around the network (scales, category tables) and how the model is kept.
Does not belong here: layers, training loop and gradients; they are in `network.py`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import Feature
from assets.trainers import network
from assets.trainers.base import Fit, Parameters, Progress, Rows, TrainingData
from assets.trainers.encoding import CategoryTable, category_texts, names_of, numeric_matrix
from assets.trainers.fitted import Description, FittedModel, complete, finish, library_versions, require_usable

if TYPE_CHECKING:
    import optuna
    import torch

WEIGHTS_FILE: Final = "weights.safetensors"
_LARGEST_DEVIATION: Final = 5.0
"""Standardised numbers are cut here: a value beyond all training must not carry the score out of its known range."""

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


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Numbers standardised and cut, 0 (the mean) where missing, then one indicator per column that had gaps.

    Attributes:
        mean, scale: Of the values present in training, per numeric feature.
        gaps: Positions of the numeric features with gaps in training; only their indicators were ever fitted.
        tables: Category table of each categorical feature.
        shares: Share of each code in training, per table.
        number_means: Training means of the encoded numbers.
    """

    mean: list[float]
    scale: list[float]
    gaps: list[int]
    tables: list[list[str]]
    shares: list[list[float]]
    number_means: list[float]

    @classmethod
    def fit(cls, frame: pl.DataFrame, features: tuple[Feature, ...], minimum_count: int) -> "Encoder":
        """Fit on training rows."""
        values = numeric_matrix(frame, features)
        present = ~np.isnan(values)
        count = np.maximum(present.sum(axis=0), 1)
        mean = np.where(present, values, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(present, values - mean, 0.0) ** 2).sum(axis=0) / count)
        gaps = np.flatnonzero(~present.all(axis=0)).astype(np.int64)
        texts = category_texts(frame, features)
        tables = [CategoryTable.fit(t, minimum_count) for t in texts.values()]
        codes = [t.codes(v) for t, v in zip(tables, texts.values(), strict=True)]
        scale = np.where(spread > 0, spread, 1.0)
        numbers = _numbers(values, mean, scale, gaps)
        return cls(
            mean=mean.tolist(),
            scale=scale.tolist(),
            gaps=gaps.tolist(),
            tables=[list(t.known) for t in tables],
            shares=[(np.bincount(c, minlength=t.size) / len(c)).tolist() for c, t in zip(codes, tables, strict=True)],
            number_means=numbers.mean(axis=0).tolist(),
        )

    @property
    def table_sizes(self) -> list[int]:
        """Number of codes per categorical feature."""
        return [CategoryTable(tuple(known)).size for known in self.tables]

    def encode(self, frame: pl.DataFrame, features: tuple[Feature, ...]) -> tuple[network.Codes, network.Floats]:
        """Category codes, shape (n, n_categorical), and numbers, shape (n, n_numeric + number of gaps)."""
        codes = np.zeros((frame.height, len(self.tables)), dtype=np.int64)
        for j, texts in enumerate(category_texts(frame, features).values()):
            codes[:, j] = CategoryTable(tuple(self.tables[j])).codes(texts)
        mean, scale = np.array(self.mean), np.array(self.scale)
        return codes, _numbers(numeric_matrix(frame, features), mean, scale, np.array(self.gaps, dtype=np.int64))


def _numbers(
    values: network.Floats, mean: network.Floats, scale: network.Floats, gaps: network.Codes
) -> network.Floats:
    standard = np.clip(np.nan_to_num((values - mean) / scale, nan=0.0), -_LARGEST_DEVIATION, _LARGEST_DEVIATION)
    return np.concatenate([standard, np.isnan(values[:, gaps]).astype(np.float64)], axis=1)


class NeuralNetworkModel(FittedModel):
    """A fitted network; it predicts on the CPU in float64, wherever it was trained."""

    def __init__(self, description: Description, net: network.Network) -> None:
        super().__init__(description)
        net.module.to("cpu").double().eval()
        self._net = net
        self._encoder = Encoder(**description.fitted["encoder"])

    @property
    def reference(self) -> float:
        """Log odds of the average training row."""
        import torch

        with torch.inference_mode():
            return float(self._net.perceptron(self._reference_input()).item())

    def _reference_input(self) -> "torch.Tensor":
        return network.reference_input(self._net, self._encoder.shares, np.array(self._encoder.number_means))

    def _log_odds(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        return network.log_odds(self._net, *self._encoder.encode(features, self.features))

    def _explain(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Integrated gradients from the average training row, embeddings and indicators added to their feature."""
        codes, numbers = self._encoder.encode(features, self.features)
        parts = network.contributions(self._net, codes, numbers, self._reference_input())
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
        net = _build(Encoder(**description.fitted["encoder"]), description.parameters)
        net.module.load_state_dict(load_file(folder / WEIGHTS_FILE))
        return cls(description, net)


class NeuralNetworkTrainer:
    """Trains on a GPU where there is one. On the CPU the same seed gives the same weights."""

    family = "neural_network"
    defaults: Parameters = _DEFAULTS

    def suggest(self, trial: "optuna.Trial") -> Parameters:
        """Step, penalty and dropout; the number of epochs follows from early stopping."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 3e-4, 3e-3, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-3, 1.0, log=True),
            "dropout": trial.suggest_float("dropout", 0.1, 0.5),
        }

    def fit(self, data: TrainingData, parameters: Parameters, progress: Progress) -> Fit:
        """See `base.Trainer.fit`."""
        import torch

        started = time.perf_counter()
        require_usable(data)
        chosen = complete(self.defaults, parameters, self.family)
        encoder = Encoder.fit(data.train.features, data.features, int(chosen["minimum_count"]))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rows, validation = (_tensors(r, data.features, encoder, device) for r in (data.train, data.validation))
        with network.seeded(data.seed), _threads():
            net = _build(encoder, chosen)
            net.module.to(device)
            weights = sum(p.numel() for p in net.module.parameters())
            progress(f"neural_network: {len(rows.label)} rows, {weights} weights, training on {device.type}")
            curves = network.train(net, rows, validation, _schedule(chosen), progress)
        description = Description(
            family=self.family,
            features=data.features,
            parameters=chosen,
            libraries=library_versions("torch", "safetensors"),
            fitted={"encoder": vars(encoder)},
        )
        return finish(
            NeuralNetworkModel(description, net),
            data,
            started=started,
            metrics={"best_iteration": float(curves.best_epoch)},
            curves={"train_log_loss": curves.train, "validation_log_loss": curves.validation},
        )


def _build(encoder: Encoder, chosen: Parameters) -> network.Network:
    numbers = len(encoder.number_means)
    return network.build(encoder.table_sizes, numbers, int(chosen["width"]), float(chosen["dropout"]))


def _schedule(chosen: Parameters) -> network.Schedule:
    return network.Schedule(
        epochs=int(chosen["epochs"]),
        patience=int(chosen["patience"]),
        batch_size=int(chosen["batch_size"]),
        learning_rate=float(chosen["learning_rate"]),
        weight_decay=float(chosen["weight_decay"]),
    )


def _tensors(rows: Rows, features: tuple[Feature, ...], encoder: Encoder, device: "torch.device") -> network.Tensors:
    import torch

    codes, numbers = encoder.encode(rows.features, features)
    return network.Tensors(
        codes=torch.from_numpy(codes).to(device),
        numbers=torch.from_numpy(numbers.astype(np.float32)).to(device),
        label=torch.from_numpy(rows.label.astype(np.float32)).to(device),
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
