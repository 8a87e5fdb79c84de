"""Do two shares differ by more than is tolerated? Evidence that may be looked at as often as one likes.

Belongs here: counts, and the statistics of two of them. Does not belong here: what is counted, and what is tolerated
(`guardrails.py`).

Two shares are compared by a likelihood ratio: how well the counts are explained by shares that a Beta distribution
spreads, against the best explanation by shares that are as near as is tolerated. While the truth is tolerable, the
ratio is an e-process: the chance that it ever reaches 1/a is at most a, however often one looks, and however many rows
there are of each. The Beta distributions say what is likely; they decide how soon something is found, never how often
nothing is. Sources: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970 (the mixture);
Wasserman, Ramdas and Balakrishnan, "Universal inference", 2020 (the ratio to the best tolerable explanation).
"""

from dataclasses import dataclass
from math import inf, lgamma, log
from typing import Final

_HALVINGS: Final = 40
"""Steps of the search for the best tolerable shares; the interval is then 1e-12 wide."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many of how many."""

    of: int
    hits: int

    @property
    def share(self) -> float:
        """0.0 to 1.0; of nothing, 0."""
        return self.hits / self.of if self.of else 0.0

    @property
    def others(self) -> "Count":
        """Those that are not."""
        return Count(of=self.of, hits=self.of - self.hits)


@dataclass(frozen=True, kw_only=True)
class Prior:
    """Which shares are likely: Beta(hits, others), as if so many had been seen already."""

    hits: float
    others: float

    @property
    def turned(self) -> "Prior":
        """The same of those that are not."""
        return Prior(hits=self.others, others=self.hits)


def evidence(live: Count, beside: Count, tolerated: float, prior: Prior) -> float:
    """Evidence (nats) that the share beside is above the live one by more than `tolerated`; -inf if it looks not so.

    Args:
        live: Of the live version.
        beside: Of the version beside it.
        tolerated: Difference of the shares, -1.0 to 1.0.
        prior: Which shares are likely, for both.
    """
    if not live.of or not beside.of or beside.share - live.share <= tolerated:
        return -inf
    return _mixture(live, prior) + _mixture(beside, prior) - _best_tolerated(live, beside, tolerated)


def interval(live: Count, beside: Count, confidence: float = 0.95) -> tuple[float, float]:
    """By how much the share beside is above the live one: an interval that holds at all times at once.

    Args:
        live: Of one version.
        beside: Of the other, asked about other rows.
        confidence: Chance that it holds the truth whenever one looks, at least.
    """
    needed, prior = log(2 / (1 - confidence)), Prior(hits=0.5, others=0.5)

    def lowest(of: Count, than: Count) -> float:
        low, high = -1.0, of.share - than.share
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if evidence(than, of, middle, prior) >= needed else (low, middle)
        return low

    return lowest(beside, live), -lowest(live, beside)


def _mixture(count: Count, prior: Prior) -> float:
    """Log chance of the counts, in their order, if the share itself is drawn from the prior."""
    hits, others = prior.hits + count.hits, prior.others + count.of - count.hits
    return _log_beta(hits, others) - _log_beta(prior.hits, prior.others)


def _best_tolerated(live: Count, beside: Count, tolerated: float) -> float:
    """Highest log chance of both counts over all shares `tolerated` apart: concave in the live one, so its slope is."""
    low, high = max(0.0, -tolerated), min(1.0, 1.0 - tolerated)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rising = _slope(live, middle) + _slope(beside, middle + tolerated) > 0
        low, high = (middle, high) if rising else (low, middle)
    share = (low + high) / 2
    return _log_chance(live, share) + _log_chance(beside, share + tolerated)


def _slope(count: Count, share: float) -> float:
    others = count.of - count.hits
    return (count.hits / share if count.hits else 0.0) - (others / (1 - share) if others else 0.0)


def _log_chance(count: Count, share: float) -> float:
    others = count.of - count.hits
    return (count.hits * log(share) if count.hits else 0.0) + (others * log(1 - share) if others else 0.0)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
