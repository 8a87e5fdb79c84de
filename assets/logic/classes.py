"""Classes of a multiclass task that differ between models: one that appears later is news to an older model.

Belongs here: bringing what models say into the same terms. Does not belong here: which classes there are (`splits.py`).
"""

from collections.abc import Sequence

import numpy as np

from assets.logic.metrics import Floats
from assets.policies import OTHER


def in_terms_of(prediction: Floats, outputs: Sequence[str], wanted: Sequence[str]) -> Floats:
    """The same probabilities in other classes; rows add up to what they added up to.

    A class that is wanted and that the model does not know shares the model's `OTHER` evenly with the rest of `OTHER`:
    the model says no more of it. A class that only the model knows counts as `OTHER`.

    Args:
        prediction: Shape (n, len(outputs)).
        outputs: Classes of the columns, `OTHER` among them.
        wanted: Classes to answer in, `OTHER` among them.

    Returns:
        Shape (n, len(wanted)).

    Raises:
        ValueError: If `OTHER` is missing on either side, or the shapes differ.
    """
    if OTHER not in outputs or OTHER not in wanted or prediction.shape[1:] != (len(outputs),):
        raise ValueError(
            f"probabilities of shape {prediction.shape} for {list(outputs)} cannot be told as {list(wanted)}; "
            f"both sides need {OTHER!r}"
        )
    new = [name for name in wanted if name not in outputs]
    share = prediction[:, list(outputs).index(OTHER)] / (len(new) + 1)
    told = np.zeros((len(prediction), len(wanted)))
    for j, name in enumerate(wanted):
        told[:, j] = share if name in new or name == OTHER else prediction[:, list(outputs).index(name)]
    for i, name in enumerate(outputs):
        if name not in wanted:
            told[:, list(wanted).index(OTHER)] += prediction[:, i]
    return told
