"""Which columns are looked at together for drift: those that say something of each other.

Belongs here: choosing pairs. Does not belong here: counting them (`drift_bins.py`).

Two columns can each look as ever and no longer fit each other: two airlines with codes exchanged, one of two
thermometers in another unit. Such faults show in the frequencies of pairs of values, if the two were dependent before.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl

from assets.logic.drift_bins import Bins, Counts, PairBins, fit_bins

PAIRS: Final = 12
"""Pairs of a group at most. More find little more, and each raises the limit of its group."""
CANDIDATES: Final = 50
"""Columns of a group that are looked at, the most used: each is compared with each, and there may be thousands."""
LEAST_DEPENDENCE: Final = 0.1
"""Share of what one column says that the other says too. Below, their pair is no more than the two alone."""
LEAST_ENTROPY: Final = 0.3
"""Of a column (nats), which a value of 91 % and another of 9 % have: one that varies less goes with everything."""
PAIRED_QUANTILES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
PAIRED_CATEGORIES: Final = 8
"""Fewer bins than of a column alone: a pair has their product, and each must be seen often."""


def pairs_of(rows: pl.DataFrame, bins: Sequence[Bins], usage: Mapping[str, float]) -> list[PairBins]:
    """For each column, the most used first, the one that depends on it most; `PAIRS` at most.

    A column that the model does not use has no partner: what becomes of it alarms nobody.

    Args:
        rows: Of the reference, shape (n, columns).
        bins: Of the columns of one group, each alone.
        usage: Share of the model's use by column; columns that are not named count as used fully.
    """
    used = sorted((b for b in bins if usage.get(b.column, 1.0) > 0), key=lambda b: -usage.get(b.column, 1.0))
    coarse = {
        b.column: fit_bins(rows[b.column], b.kind, quantiles=PAIRED_QUANTILES, categories=PAIRED_CATEGORIES)
        for b in used[:CANDIDATES]
    }
    codes = {name: _known_codes(one, rows) for name, one in coarse.items()}
    found: dict[frozenset[str], PairBins] = {}
    for name in coarse:
        if len(found) == PAIRS:
            break
        others = {n: dependence(codes[name], codes[n]) for n in coarse if n != name}
        best = max(others, key=lambda n: others[n], default=None)
        if best is not None and others[best] >= LEAST_DEPENDENCE and frozenset((name, best)) not in found:
            first, second = sorted((name, best))
            found[frozenset((name, best))] = PairBins(first=coarse[first], second=coarse[second])
    return list(found.values())


def dependence(one: Counts, other: Counts) -> float:
    """How much two columns say of each other, 0 (nothing) to 1 (one says all of the other).

    The mutual information over the smaller of the two entropies, of the rows in which both are known: that both are
    null where a record was not found says nothing of their values. 0 where a column hardly varies.

    Args:
        one: Bin of each row, from 0, or -1 where it is not known, shape (n,).
        other: The same of the other column.

    Source: Kvalseth, "Entropy and correlation: some comments", 1987.
    """
    known = (one >= 0) & (other >= 0)
    one, other = one[known], other[known]
    width = int(other.max(initial=0)) + 1
    joint = np.bincount(one * width + other).astype(np.float64)
    alone = [_entropy(np.bincount(codes).astype(np.float64)) for codes in (one, other)]
    least = min(alone)
    return max(sum(alone) - _entropy(joint), 0.0) / least if least >= LEAST_ENTROPY else 0.0


def _known_codes(bins: Bins, rows: pl.DataFrame) -> Counts:
    codes = bins.codes(rows[bins.column])
    return np.where(codes == bins.size - 1, -1, codes)  # the last bin holds nulls


def _entropy(counts: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> float:
    """Of a histogram, in nats."""
    shares = counts[counts > 0] / max(counts.sum(), 1.0)
    return float(-(shares * np.log(shares)).sum())
