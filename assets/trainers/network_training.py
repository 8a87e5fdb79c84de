"""How the network is trained: losses by task, batches, the loop with early stopping.

Belongs here: all that happens between a fresh network and a fitted one. Does not belong here: layers and gradients
(`network.py`), and features, calibration, files (`neural_network.py`).
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from assets.policies import Task
from assets.trainers.network import CHUNK, Network

if TYPE_CHECKING:
    import torch

Loss: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
_HIGHEST_LOG: Final = 20.0
"""A count's mean is kept below exp of this in training: one wild step must not end in infinite weights."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How to train. The learning rate falls along half a cosine over `epochs`, to a hundredth of where it began."""

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float


@dataclass
class Curves:
    """Mean loss per epoch."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the least validation loss, from 0; the first of equals."""
        return int(np.argmin(self.validation))


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Encoded rows on one device: `codes` (n, n_categorical) int64, `numbers` (n, k) float32, `label` (n,)."""

    codes: "torch.Tensor"
    numbers: "torch.Tensor"
    label: "torch.Tensor"

    def batches(self, rows: int, *, shuffled: bool) -> "Iterator[Tensors]":
        """The rows in blocks of `rows`, the last one shorter; in random order where `shuffled`."""
        import torch

        n, device = len(self.label), self.label.device
        order = torch.randperm(n, device=device) if shuffled else torch.arange(n, device=device)
        for start in range(0, n, rows):
            block = order[start : start + rows]
            yield Tensors(codes=self.codes[block], numbers=self.numbers[block], label=self.label[block])


def _log_loss(scores: "torch.Tensor", label: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(scores.squeeze(1), label)


def _cross_entropy(scores: "torch.Tensor", label: "torch.Tensor") -> "torch.Tensor":
    import torch

    return torch.nn.functional.cross_entropy(scores, label)


def _absolute_error(scores: "torch.Tensor", label: "torch.Tensor") -> "torch.Tensor":
    return (scores.squeeze(1) - label).abs().mean()


def _poisson_deviance(scores: "torch.Tensor", label: "torch.Tensor") -> "torch.Tensor":
    import torch

    log_mean = scores.squeeze(1).clamp(max=_HIGHEST_LOG)
    return 2 * (torch.xlogy(label, label) - label * log_mean - label + log_mean.exp()).mean()


LOSSES: Final[Mapping[Task, Loss]] = {
    "binary": _log_loss,
    "multiclass": _cross_entropy,
    "regression": _absolute_error,
    "count": _poisson_deviance,
}
"""Mean over rows of scores, shape (n, width), against labels, shape (n,)."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch within the block (initial weights, order of rows, dropout) and leave its global state as it was."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def train(
    net: Network, rows: Tensors, validation: Tensors, schedule: Schedule, loss: Loss, progress: Callable[[str], None]
) -> Curves:
    """Train in place with AdamW and leave the weights of the epoch with the least validation loss.

    Stops when that loss has not fallen for `patience` epochs. Source: Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019, and "SGDR", 2017, for the cosine.
    """
    import torch

    optimiser = torch.optim.AdamW(
        net.module.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    steps = schedule.epochs * math.ceil(len(rows.label) / schedule.batch_size)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=schedule.learning_rate / 100)
    curves, best = Curves(), copy.deepcopy(net.module.state_dict())
    for epoch in range(schedule.epochs):
        curves.train.append(_epoch(net, rows, schedule.batch_size, loss, optimiser, fall))
        curves.validation.append(_mean_loss(net, validation, loss))
        progress(
            f"neural_network: epoch {epoch + 1} of at most {schedule.epochs}, "
            f"loss {curves.train[-1]:.4f} in training, {curves.validation[-1]:.4f} in validation"
        )
        if curves.best_epoch == epoch:
            best = copy.deepcopy(net.module.state_dict())
        elif epoch - curves.best_epoch >= schedule.patience:
            break
    net.module.load_state_dict(best)
    return curves


def _epoch(
    net: Network,
    rows: Tensors,
    batch_size: int,
    loss: Loss,
    optimiser: "torch.optim.Optimizer",
    fall: "torch.optim.lr_scheduler.LRScheduler",
) -> float:
    """One pass over the rows in random order; mean loss, dropout on."""
    import torch

    net.module.train()
    total = torch.zeros((), device=rows.label.device)
    for batch in rows.batches(batch_size, shuffled=True):
        mean = loss(net.scores(batch.codes, batch.numbers), batch.label)
        optimiser.zero_grad(set_to_none=True)
        mean.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        fall.step()
        total += mean.detach() * len(batch.label)
    return float(total) / len(rows.label)


def _mean_loss(net: Network, rows: Tensors, loss: Loss) -> float:
    import torch

    net.module.eval()
    with torch.inference_mode():
        scores = torch.cat([net.scores(b.codes, b.numbers) for b in rows.batches(CHUNK, shuffled=False)])
        return float(loss(scores, rows.label))
