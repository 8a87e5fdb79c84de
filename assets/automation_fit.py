"""What an automation and the rest of a use case say against one another.

Belongs here: mistakes that need two parts to be seen, each with the field it is mended at. Does not belong here: values
that make no sense by themselves (`automation.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Final

from assets.automation import ONE_DAY, Automation
from assets.partitions import Partitions

PREDICTION_GROUP: Final = "prediction"
"""Group of the drift report that holds what the model answered."""
LABEL_GROUP: Final = "label"
"""Group of the drift report that holds the outcomes that are known."""
Contradiction = tuple[tuple[str, ...], str]
"""The field within the automation, as a path, and a sentence without its subject."""


def contradictions(automation: Automation, partitions: Partitions, groups: Iterable[str]) -> Iterator[Contradiction]:
    """All that does not agree.

    Args:
        automation: What is watched, and what starts a retraining.
        partitions: Those of the use case.
        groups: Groups of its features.
    """
    for name, window in (("drift", automation.drift.window), ("performance", automation.performance.window)):
        if window < partitions.longest:
            # A day that no window holds would never be judged by anybody.
            longest = partitions.longest.days
            yield (name, "window"), f"is {window.days} days, and a {partitions.every} has up to {longest}; allow for it"
    known = [*dict.fromkeys(groups), PREDICTION_GROUP, LABEL_GROUP]
    if unknown := [group for group in automation.drift.reported_only if group not in known]:
        yield ("drift", "reported_only"), f"holds {unknown}, which are no groups; known are {known}"
    retraining = automation.retraining
    if retraining.every is not None and retraining.every < retraining.cool_down:
        every, rest = retraining.every / ONE_DAY, retraining.cool_down / ONE_DAY
        yield ("retraining", "every"), f"is {every:g} days, and cool_down forbids another for {rest:g}"
