"""How far a perfectly calibrated model seems to be off by chance: a gate must not refuse it for having few test rows.

Belongs here: that one question. Does not belong here: measuring calibration (`metrics_*.py`), and the rule
(`promotion_rules.py`).

Method: consistency resampling, Bröcker and Smith, "Increasing the reliability of reliability diagrams", 2007: labels
are drawn from the very probabilities that are judged. The share of a bin is drawn as a normal number of its spread,
which for sums of labels is as good.
"""

from math import sqrt
from typing import Final

import numpy as np
import polars as pl

from assets.policies import INTERVAL

EXCEEDED: Final = 0.05
"""How often a perfectly calibrated model seems further off than what is returned here, rows being independent."""
DRAWS: Final = 2_000
SEED: Final = 20070615


def of_probabilities(curve: pl.DataFrame) -> float:
    """The calibration error that perfect probabilities exceed one time in twenty.

    Args:
        curve: Columns predicted (0 to 1) and rows over bins; 602 rows in 15 bins give about .075, 30,000 about .011.
    """
    predicted, rows = curve["predicted"].to_numpy(), curve["rows"].to_numpy()
    spread = np.sqrt(predicted * (1 - predicted) / rows)
    drawn = np.abs(np.random.default_rng(SEED).normal(size=(DRAWS, len(rows)))) * spread
    return float(np.quantile(np.average(drawn, axis=1, weights=rows), 1 - EXCEEDED))


def of_coverage(rows: int) -> float:
    """The same for the distance between the share of labels inside 90 % intervals and 90 %."""
    return 1.96 * sqrt(INTERVAL * (1 - INTERVAL) / rows)
