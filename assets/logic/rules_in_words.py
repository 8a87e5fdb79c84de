"""What each rule of promotion says when it passes, one sentence per rule of a task.

Belongs here: sentences that stand before anything is measured. Does not belong here: the rules and their reasons
(`promotion_rules.py`).
"""

from collections.abc import Mapping, Sequence

from assets.logic.baselines import baseline_names
from assets.logic.metrics import task_metrics


def rules_in_words(task: str, *, by: Sequence[str], naive: Mapping[str, str]) -> dict[str, str]:
    """Every rule by name with the sentence that is true when it passes, in the order of the rules.

    Args:
        task: Kind of task.
        by: Columns of the grouped baseline, if there is one.
        naive: Further baselines by name.

    Raises:
        ValueError: If the task is not known.
    """
    words = task_metrics(task).words
    return {
        "enough_rows": "The test window holds enough labelled rows.",
        "unseen_rows": "No contender has learnt from the test days.",
        **{f"beats_{name}": sentence for name, sentence in baseline_names(task, by, naive).items()},
        "not_worse_than_champion": "Not worse than the champion by more than the margin, paired by day.",
        "no_slice_collapses": f"In no slice clearly worse than the slice's {words.own.lower()}.",
        "is_calibrated": words.meaning,
        "no_sign_of_leakage": "Not too good to be true.",
        "differs_from_champion": "Not the champion made once more.",
    }
