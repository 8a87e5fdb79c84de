"""May a challenger go live? One pure decision from predictions on the same unseen rows.

Belongs here: choosing among judged challengers, and the decision as a value. Does not belong here: the rules
(`promotion_rules.py`), and who moves the alias and keeps the ledger (`assets/stages/champion.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assets.logic.bootstrap import DECISION_RESAMPLES, DayBlocks
from assets.logic.contenders import Contender, Trial, UnseenRows
from assets.logic.metrics import fits, task_metrics
from assets.logic.promotion_rules import DIFFERS, RULES, RuleOutcome
from assets.logic.wording import capital
from assets.policies import PromotionPolicy

TELLING: Final = ("beats_", "not_worse_", "no_slice_", "is_calibrated")
"""Beginnings of the rules whose reasons say why a promoted model is good; the others only say that nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What goes live: `model` if `promoted`, else the champion stays, if there is one.

    Attributes:
        model: The chosen challenger when promoted, else the best one that was refused; None if none could be scored.
        version: Its exact model version.
        rules: Every rule applied to every challenger.
        reasons: Sentences for people, the most important first.
    """

    promoted: bool
    model: str | None
    version: str | None
    rules: tuple[RuleOutcome, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Judged:
    trial: Trial
    outcomes: tuple[RuleOutcome, ...]

    @property
    def failed(self) -> list[RuleOutcome]:
        return [o for o in self.outcomes if not o.passed]

    @property
    def is_good(self) -> bool:
        """Passes every rule of quality; whether it is new is asked of the winner only."""
        return all(o.rule == DIFFERS for o in self.failed)


def decide(
    challengers: Sequence[Contender],
    champion: Contender | None,
    baselines: Sequence[Contender],
    rows: UnseenRows,
    policy: PromotionPolicy,
    *,
    task: str,
    seed: int,
) -> Decision:
    """Judge every challenger by every rule; the best that passes all of them is promoted.

    The best is the one with the lowest loss among those that pass every rule of quality. If that one repeats the
    champion, nothing is promoted: a second-best within the margin must not push out a champion that is as good as the
    best, else running the line twice would swap models for nothing.

    Raises:
        ValueError: If two contenders share a name, or a prediction has not the shape of the task for these rows.
    """
    _require_comparable([*challengers, *baselines, *([champion] if champion else [])], len(rows.label), task)
    blocks = DayBlocks(rows.day, seed=seed, resamples=DECISION_RESAMPLES)
    trials = [
        Trial.of(challenger, champion, baselines, rows, policy=policy, task=task, blocks=blocks)
        for challenger in challengers
    ]
    judged = [_Judged(trial=t, outcomes=tuple(o for rule in RULES for o in rule(t))) for t in trials]
    if not judged:
        reasons = (f"No challenger was given; {_stays(champion)}.",)
        return Decision(promoted=False, model=None, version=None, rules=(), reasons=reasons)
    best = min([j for j in judged if j.is_good] or judged, key=lambda j: j.trial.loss)
    is_scored = best.trial.problem is None
    return Decision(
        promoted=not best.failed,
        model=best.trial.challenger.name if is_scored else None,
        version=best.trial.challenger.version if is_scored else None,
        rules=tuple(o for j in judged for o in j.outcomes),
        reasons=_reasons(best, judged),
    )


def _reasons(best: _Judged, judged: Sequence[_Judged]) -> tuple[str, ...]:
    name, others = capital(best.trial.challenger.shown), [_other(j, best) for j in judged if j is not best]
    if best.failed:
        opening = f"{name} is not promoted; {_stays(best.trial.champion)}."
        return (opening, *(o.reason for o in best.failed), *others)
    telling = [o.reason for o in best.outcomes if o.rule.startswith(TELLING)]
    return (f"{name} is promoted: it passes every rule.", *telling, *others)


def _other(other: _Judged, best: _Judged) -> str:
    """One sentence about a challenger that was not chosen."""
    name, loss, shown = capital(other.trial.challenger.shown), other.trial.loss_name, other.trial.shown
    if not other.is_good:
        return f"{name} does not pass. {' '.join(o.reason for o in other.failed if o.rule != DIFFERS)}"
    return f"{name} passes too, with a higher {loss} ({shown(other.trial.loss)} against {shown(best.trial.loss)})."


def _stays(champion: Contender | None) -> str:
    return "there is no champion yet, so nothing goes live" if champion is None else "the champion stays"


def _require_comparable(contenders: Sequence[Contender], rows: int, task: str) -> None:
    names = [c.name for c in contenders]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"contenders need different names, but {twice} stand twice; call the live model 'champion'")
    made = {c.name: c.prediction for c in contenders if c.prediction is not None}
    for name, prediction in made.items():
        if not fits(task_metrics(task), prediction, rows):
            raise ValueError(f"{name} predicts shape {prediction.shape} for {rows} test rows of task {task!r}")
    if len({prediction.shape for prediction in made.values()}) > 1:
        shapes = {name: prediction.shape for name, prediction in made.items()}
        raise ValueError(f"contenders predict different classes: {shapes}; bring them into the same ones first")
