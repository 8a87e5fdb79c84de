"""The network itself: embeddings and a small perceptron, its scores, its gradients.

Belongs here: tensors in, tensors out. Does not belong here: how it is trained (`network_training.py`), and features,
calibration, files (`neural_network.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

LARGEST_EMBEDDING: Final = 12
_PATH_NODES: Final = 24
"""Gauss-Legendre nodes along the path of integrated gradients."""
CHUNK: Final = 65_536
"""Rows per forward pass outside training; keeps the activations below 100 MB."""

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Network:
    """Embedded categories beside the numbers, through a perceptron, to one score or one per class.

    Attributes:
        embeddings: One table per categorical feature.
        perceptron: From embeddings and numbers, shape (n, n_inputs), to (n, width).
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
        """Shape (n, width)."""
        scores: torch.Tensor = self.perceptron(self.inputs(codes, numbers))
        return scores


def embedding_sizes(table_sizes: Sequence[int]) -> list[int]:
    """Width of the embedding of each category table: half its codes, at most `LARGEST_EMBEDDING`."""
    return [min(LARGEST_EMBEDDING, math.ceil(size / 2)) for size in table_sizes]


def build(table_sizes: Sequence[int], numbers: int, width: int, dropout: float, scores: int = 1) -> Network:
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
    perceptron = nn.Sequential(*layers, nn.Linear(before, scores))
    module = nn.ModuleDict({"embeddings": nn.ModuleList(embeddings), "perceptron": perceptron})
    return Network(embeddings, perceptron, module)


def scores(net: Network, codes: Codes, numbers: Floats) -> Floats:
    """Scores, shape (n, width), of a network in float64 on the CPU.

    In float64 a row alone and the same row among others get the same score to 1e-12; in float32 they differ by 1e-6.
    """
    import torch

    with torch.inference_mode():
        blocks = range(0, len(codes), CHUNK)
        parts = [(torch.from_numpy(codes[b : b + CHUNK]), torch.from_numpy(numbers[b : b + CHUNK])) for b in blocks]
        return np.concatenate([net.scores(c, x).numpy() for c, x in parts])


def reference_input(net: Network, shares: Sequence[Sequence[float]], numbers: Floats) -> "torch.Tensor":
    """What the perceptron sees of the average row: embeddings weighted by the share of each code, mean numbers."""
    import torch

    with torch.no_grad():
        pairs = zip(shares, net.embeddings, strict=True)
        means = [torch.tensor(share, dtype=torch.float64) @ table.weight for share, table in pairs]
    return torch.cat([*means, torch.from_numpy(numbers)])


def contributions(net: Network, codes: Codes, numbers: Floats, reference: "torch.Tensor", weights: Floats) -> Floats:
    """Integrated gradients from `reference` to each row, one per perceptron input, shape (n, n_inputs).

    They are those of the sum over the scores times `weights`, shape (n, width).

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", 2017; the integral along the path
    by Gauss-Legendre quadrature.
    """
    import torch

    with torch.no_grad():
        distance = net.inputs(torch.from_numpy(codes), torch.from_numpy(numbers)) - reference
    total, wanted = torch.zeros_like(distance), torch.from_numpy(weights)
    nodes, weights = np.polynomial.legendre.leggauss(_PATH_NODES)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (reference + float(node) * distance).requires_grad_()
        (gradient,) = torch.autograd.grad((net.perceptron(point) * wanted).sum(), point)
        total += float(weight) * gradient
    return np.asarray((total * distance).numpy(), dtype=np.float64)
