"""The rules of promotion: each one looks at a trial and says passed or not, and why, in a sentence for people.

Belongs here: one function per rule. Does not belong here: who wins (`promotion.py`), limits (`assets/policies.py`).
A rule that cannot be measured fails, and says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from assets.logic.bootstrap import MINIMUM_DAYS, Difference
from assets.logic.contenders import Contender, Trial
from assets.logic.metrics import Measured
from assets.logic.wording import capital

DIFFERS: Final = "differs_from_champion"
NAMED_SLICES: Final = 5
"""How many failing slices a sentence names; a list of thirty is not a reason."""


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """One rule applied to one challenger. `observed` and `limit` are None where there is no number."""

    rule: str
    model: str
    passed: bool
    observed: float | None
    limit: float | None
    reason: str


def enough_rows(trial: Trial) -> list[RuleOutcome]:
    """There are enough labelled rows, of more than one class, and a prediction for each."""
    rows, limit, rule = len(trial.rows.label), trial.policy.minimum_rows, "enough_rows"
    shown = f"{rows:,} labelled test rows on {len(trial.blocks.days)} days"
    if rows < limit:
        return [
            _outcome(
                trial, "enough_rows", f"Only {shown}; {limit:,} rows are needed to decide.", observed=rows, limit=limit
            )
        ]
    if trial.problem:
        return [_outcome(trial, rule, f"The {shown} cannot be used: {trial.problem}.", limit=limit)]
    reason = f"It was judged on {shown}; at least {limit:,} are needed."
    return [_outcome(trial, rule, reason, passed=True, observed=rows, limit=limit)]


def unseen_rows(trial: Trial) -> list[RuleOutcome]:
    """Neither the challenger nor the champion has learnt from the rows they are judged on."""
    first = str(trial.rows.day.min()) if len(trial.rows.day) else None
    for contender in filter(None, [trial.challenger, trial.champion]):
        name = "the champion" if contender is trial.champion else contender.shown
        if contender.trained_through is None or first is None:
            reason = f"It is not on record which days {name} has learnt from, so the test may not be fair."
            return [_outcome(trial, "unseen_rows", reason)]
        if str(contender.trained_through) >= first:
            through = contender.trained_through
            reason = (
                f"{capital(name)} has learnt from days up to {through}, but the test starts on {first}: that is unfair."
            )
            return [_outcome(trial, "unseen_rows", reason)]
    return [
        _outcome(trial, "unseen_rows", f"No model has learnt from the test days, which start on {first}.", passed=True)
    ]


def beats_baselines(trial: Trial) -> list[RuleOutcome]:
    """The challenger is surely better than every naive prediction."""
    if not trial.baselines:
        reason = "There is no naive prediction to compare with, so nothing shows that a model helps."
        return [_outcome(trial, "beats_baseline", reason, limit=0.0)]
    return [_beats(trial, baseline) for baseline in trial.baselines]


def _beats(trial: Trial, baseline: Contender) -> RuleOutcome:
    difference, rule = trial.against(baseline), f"beats_{baseline.name}"
    if difference.high is None:
        return _outcome(
            trial, rule, f"It cannot be compared with the {baseline.shown}: {difference.reason}.", limit=0.0
        )
    passed = difference.high < 0
    verdict = "It predicts better than" if passed else "It is not surely better than"
    reason = f"{verdict} the {baseline.shown}: {_facts(trial, difference)}."
    return _outcome(trial, rule, reason, passed=passed, observed=difference.high, limit=0.0)


def not_worse_than_champion(trial: Trial) -> list[RuleOutcome]:
    """The challenger is surely not worse than the champion by more than the margin."""
    rule, margin = "not_worse_than_champion", trial.margin
    if trial.champion is None:
        reason = "There is no champion yet, so there is nothing to be worse than."
        return [_outcome(trial, rule, reason, passed=True, limit=margin)]
    difference = trial.against(trial.champion)
    if difference.high is None or margin is None:
        return [_outcome(trial, rule, f"It cannot be compared with the champion: {difference.reason}.", limit=margin)]
    passed = difference.high <= margin
    verdict = "It is not worse than the champion" if passed else "It may be worse than the champion"
    reason = f"{verdict}: {_facts(trial, difference)}; up to {trial.shown(margin)} higher is accepted."
    return [_outcome(trial, rule, reason, passed=passed, observed=difference.high, limit=margin)]


def no_slice_collapses(trial: Trial) -> list[RuleOutcome]:
    """No slice is surely worse, by more than the margin, than the constant that is best for the slice's own rows.

    With many slices one looks bad by chance; the confidence is shared among them (Bonferroni), so that a model without
    a bad slice is refused at most once in 1 / (1 - confidence) decisions.
    """
    rule, policy = "no_slice_collapses", trial.policy
    if trial.problem:
        return [_outcome(trial, rule, f"Slices cannot be judged: {trial.problem}.", limit=trial.slice_margin(None))]
    slices = trial.rows.slice_rows(policy.slice_rows, MINIMUM_DAYS)
    if not slices:
        reason = f"No slice has {policy.slice_rows} test rows on {MINIMUM_DAYS} days, so there is none to judge."
        return [_outcome(trial, rule, reason, passed=True, limit=trial.slice_margin(None))]
    confidence = 1 - (1 - policy.confidence) / len(slices)
    found = {name: trial.against_own_constant(rows, confidence) for name, rows in slices.items()}
    return [_slices_judged(trial, rule, found)]


def _slices_judged(trial: Trial, rule: str, found: dict[str, tuple[Difference, float | None]]) -> RuleOutcome:
    judged = {name: (d.low, limit) for name, (d, limit) in found.items() if d.low is not None and limit is not None}
    if unmeasured := [f"{name}: {d.reason}" for name, (d, _) in found.items() if name not in judged]:
        return _outcome(
            trial, rule, f"Some slices cannot be judged ({_few(unmeasured)}).", limit=trial.slice_margin(None)
        )
    # By how far it is beyond what is accepted there; where that is the same everywhere, by how bad it is.
    beyond = {name: (low - limit, low) for name, (low, limit) in judged.items()}
    worst = max(beyond, key=lambda name: beyond[name])
    low, limit = judged[worst]
    if collapsed := sorted((n for n in judged if judged[n][0] > judged[n][1]), key=lambda n: beyond[n], reverse=True):
        by = trial.shown(found[worst][0].mean or 0.0)
        reason = (
            f"It fails in {len(collapsed)} of {len(judged)} slices ({_few(collapsed)}): there a plain "
            f"{trial.metrics.words.constant} predicts better, in {worst} by {by} in {trial.loss_name}."
        )
        return _outcome(trial, rule, reason, observed=low, limit=limit)
    reason = f"It holds in all {len(judged)} slices of {trial.policy.slice_rows} rows or more; the weakest is {worst}."
    return _outcome(trial, rule, reason, passed=True, observed=low, limit=limit)


def is_calibrated(trial: Trial) -> list[RuleOutcome]:
    """Predictions mean what they say: rates of what is called likely, shares of labels inside intervals."""
    words = trial.metrics.words
    return _below(
        trial,
        "is_calibrated",
        trial.scores.get(trial.metrics.calibration),
        trial.calibration_limit,
        verdicts=(words.trusted, words.untrusted),
        text=words.calibration,
    )


def no_sign_of_leakage(trial: Trial) -> list[RuleOutcome]:
    """The model is not better than the question allows."""
    return _below(
        trial,
        "no_sign_of_leakage",
        trial.scores.get(trial.metrics.leakage),
        trial.leakage_ceiling,
        verdicts=("It is believable", "It is too good to be true"),
        text=trial.metrics.words.leakage,
    )


def differs_from_champion(trial: Trial) -> list[RuleOutcome]:
    """The challenger is not the champion made once more, and does not answer as if it were."""
    if trial.champion is None:
        return [_outcome(trial, DIFFERS, "There is no champion yet that it could repeat.", passed=True)]
    one, other = trial.challenger, trial.champion
    if one.fingerprint is not None and one.fingerprint == other.fingerprint:
        reason = "It is the champion once more: made from the same data, code and configuration."
        return [_outcome(trial, DIFFERS, reason)]
    if one.prediction is not None and other.prediction is not None and np.array_equal(one.prediction, other.prediction):
        return [_outcome(trial, DIFFERS, "It is the champion once more: it answers every test row the same.")]
    if one.fingerprint is None or other.fingerprint is None:
        reason = "It is not on record what it and the champion were made from, so a repetition cannot be ruled out."
        return [_outcome(trial, DIFFERS, reason)]
    return [
        _outcome(trial, DIFFERS, "It is made from other data, code or configuration than the champion.", passed=True)
    ]


RULES: Final[tuple[Callable[[Trial], list[RuleOutcome]], ...]] = (
    enough_rows,
    unseen_rows,
    beats_baselines,
    not_worse_than_champion,
    no_slice_collapses,
    is_calibrated,
    no_sign_of_leakage,
    differs_from_champion,
)
"""In the order in which a person asks: is the test sound, does it help, is it safe, is it new."""


def _below(
    trial: Trial, rule: str, measured: Measured | None, limit: float, *, verdicts: tuple[str, str], text: str
) -> list[RuleOutcome]:
    if measured is None or measured.value is None:
        why = trial.problem or (measured and measured.reason) or "it was not measured"
        reason = f"{capital(rule.replace('_', ' '))}: not known, because {why}."
        return [_outcome(trial, rule, reason, limit=limit)]
    passed = measured.value < limit
    reason = f"{verdicts[0] if passed else verdicts[1]}: {text.format(value=measured.value, limit=limit)}."
    return [_outcome(trial, rule, reason, passed=passed, observed=measured.value, limit=limit)]


def _facts(trial: Trial, difference: Difference) -> str:
    """The difference in words: which way, by how much, and how sure that is."""
    mean, high = difference.mean or 0.0, difference.high or 0.0
    sure = f"at least {trial.shown(-high)} lower" if high < 0 else f"at most {trial.shown(high)} higher"
    return (
        f"its {trial.loss_name} is {trial.shown(abs(mean))} {'lower' if mean <= 0 else 'higher'} on the same rows, and "
        f"{sure} with {trial.policy.confidence:.0%} confidence"
    )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_SLICES} more" if len(names) > NAMED_SLICES else ""
    return ", ".join(names[:NAMED_SLICES]) + more


def _outcome(
    trial: Trial,
    rule: str,
    reason: str,
    *,
    passed: bool = False,
    observed: float | None = None,
    limit: float | None = None,
) -> RuleOutcome:
    return RuleOutcome(
        rule=rule, model=trial.challenger.name, passed=passed, observed=observed, limit=limit, reason=reason
    )
