"""The network itself: embeddings and a small perceptron, its training loop, its gradients.

Belongs here: tensors in, tensors out. Does not belong here: features, calibration, files; that is `neural_network.py`.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

LARGEST_EMBEDDING: Final = 12
_PATH_NODES: Final = 24
"""Gauss-Legendre nodes along the path of integrated gradients."""
_CHUNK: Final = 65_536
"""Rows per forward pass outside training; keeps the activations below 100 MB."""

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]


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
    """Mean log loss per epoch."""

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the least validation loss, from 0; the first of equals."""
        return int(np.argmin(self.validation))


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """Encoded rows on one device: `codes` (n, n_categorical) int64, `numbers` (n, k) and `label` (n,) float32."""

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


@dataclass(frozen=True)
class Network:
    """Embedded categories beside the numbers, through a perceptron, to one score in log odds.

    Attributes:
        embeddings: One table per categorical feature.
        perceptron: From embeddings and numbers, shape (n, n_inputs), to (n, 1).
        module: Both as one torch module: what is moved, trained, saved.
    """

    embeddings: "list[torch.nn.Embedding]"
    perceptron: "torch.nn.Sequential"
    module: "torch.nn.ModuleDict"

    def inputs(self, codes: "torch.Tensor", numbers: "torch.Tensor") -> "torch.Tensor":
        """What the perceptron sees, shape (n, n_inputs)."""
        import torch

        return torch.cat([*(table(codes[:, j]) for j, table in enumerate(self.embeddings)), numbers], dim=1)

    def scores(self, codes: "torch.Tensor", numbers: "torch.Tensor") -> "torch.Tensor":
        """Log odds, shape (n,)."""
        scores: torch.Tensor = self.perceptron(self.inputs(codes, numbers)).squeeze(1)
        return scores


def embedding_sizes(table_sizes: Sequence[int]) -> list[int]:
    """Width of the embedding of each category table: half its codes, at most `LARGEST_EMBEDDING`."""
    return [min(LARGEST_EMBEDDING, math.ceil(size / 2)) for size in table_sizes]


def build(table_sizes: Sequence[int], numbers: int, width: int, dropout: float) -> Network:
    """A fresh network with two hidden layers, `width` and `width` / 2; weights from torch's random state."""
    from torch import nn

    sizes = embedding_sizes(table_sizes)
    embeddings = [nn.Embedding(n, d) for n, d in zip(table_sizes, sizes, strict=True)]
    for table in embeddings:
        # Small beside the standardised numbers, so that a category counts once there is a reason for it.
        nn.init.normal_(table.weight, std=0.1)
    layers: list[nn.Module] = []
    before = sum(sizes) + numbers
    for after in (width, width // 2):
        # Smooth, so that the path integral of `contributions` is exact with few nodes.
        layers += [nn.Linear(before, after), nn.SiLU(), nn.Dropout(dropout)]
        before = after
    perceptron = nn.Sequential(*layers, nn.Linear(before, 1))
    module = nn.ModuleDict({"embeddings": nn.ModuleList(embeddings), "perceptron": perceptron})
    return Network(embeddings, perceptron, module)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch within the block (initial weights, order of rows, dropout) and leave its global state as it was."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def train(
    net: Network, rows: Tensors, validation: Tensors, schedule: Schedule, progress: Callable[[str], None]
) -> Curves:
    """Train in place with AdamW and leave the weights of the epoch with the least validation log loss.

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
        curves.train.append(_epoch(net, rows, schedule.batch_size, optimiser, fall))
        curves.validation.append(_loss(net, validation))
        progress(
            f"neural_network: epoch {epoch + 1} of at most {schedule.epochs}, "
            f"log loss {curves.train[-1]:.4f} in training, {curves.validation[-1]:.4f} in validation"
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
    optimiser: "torch.optim.Optimizer",
    fall: "torch.optim.lr_scheduler.LRScheduler",
) -> float:
    """One pass over the rows in random order; mean log loss, dropout on."""
    import torch

    net.module.train()
    total = torch.zeros((), device=rows.label.device)
    for batch in rows.batches(batch_size, shuffled=True):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net.scores(batch.codes, batch.numbers), batch.label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        fall.step()
        total += loss.detach() * len(batch.label)
    return float(total) / len(rows.label)


def _loss(net: Network, rows: Tensors) -> float:
    import torch

    net.module.eval()
    with torch.inference_mode():
        scores = torch.cat([net.scores(b.codes, b.numbers) for b in rows.batches(_CHUNK, shuffled=False)])
        return float(torch.nn.functional.binary_cross_entropy_with_logits(scores, rows.label))


def log_odds(net: Network, codes: Codes, numbers: Floats) -> Floats:
    """Scores, shape (n,), of a network in float64 on the CPU.

    In float64 a row alone and the same row among others get the same score to 1e-12; in float32 they differ by 1e-6.
    """
    import torch

    with torch.inference_mode():
        blocks = range(0, len(codes), _CHUNK)
        parts = [(torch.from_numpy(codes[b : b + _CHUNK]), torch.from_numpy(numbers[b : b + _CHUNK])) for b in blocks]
        return np.concatenate([net.scores(c, x).numpy() for c, x in parts])


def reference_input(net: Network, shares: Sequence[Sequence[float]], numbers: Floats) -> "torch.Tensor":
    """What the perceptron sees of the average row: embeddings weighted by the share of each code, mean numbers."""
    import torch

    with torch.no_grad():
        pairs = zip(shares, net.embeddings, strict=True)
        means = [torch.tensor(share, dtype=torch.float64) @ table.weight for share, table in pairs]
    return torch.cat([*means, torch.from_numpy(numbers)])


def contributions(net: Network, codes: Codes, numbers: Floats, reference: "torch.Tensor") -> Floats:
    """Integrated gradients of the log odds from `reference` to each row, one per perceptron input, shape (n, n_inputs).

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", 2017; the integral along the path
    by Gauss-Legendre quadrature.
    """
    import torch

    with torch.no_grad():
        distance = net.inputs(torch.from_numpy(codes), torch.from_numpy(numbers)) - reference
    total = torch.zeros_like(distance)
    nodes, weights = np.polynomial.legendre.leggauss(_PATH_NODES)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (reference + float(node) * distance).requires_grad_()
        (gradient,) = torch.autograd.grad(net.perceptron(point).sum(), point)
        total += float(weight) * gradient
    return np.asarray((total * distance).numpy(), dtype=np.float64)
