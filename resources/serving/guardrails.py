"""Is a new version worse than the live one? Looked at after every batch, with a false-alarm rate that still holds.

Belongs here: what is counted of each version, and the verdict on two counts. Does not belong here: how shares are
compared (`shares.py`), how rows come to be counted (`evidence.py`), and what a verdict leads to (`deployments.py`).

Everything watched is a share of rows or calls (that fail, are slow, score above the live version's median, score
outside its quartiles), so that a version is a handful of whole numbers, and the numbers of several workers add up.

What is assumed: within one step, rows are as good as independent. An entity that asks again and again meets the same
version each time; where a few entities ask most of the time, the rate is only as good as their number is large.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import log
from typing import Literal

from resources.serving.shares import Count, Prior, evidence

Kind = Literal["breach", "go on", "wait"]


@dataclass(frozen=True, kw_only=True)
class Guardrails:
    """How much worse than the live version a new one may be, and how long each step lasts.

    A tolerance is a difference of shares; 1.0 tolerates anything, and so takes the guardrail away.

    Attributes:
        errors: Of rows that got no answer. One in a hundred more is visible to callers.
        slow: Of calls that took `slowness` times as long as the live version typically takes for as many rows.
            A tenth more are a cold cache or a busy neighbour; a version that is slower throughout has nearly all.
        score: Of rows above the live version's median score, either way. A better model moves some scores; 0.05 is an
            eighth of a standard deviation, which is what retraining on newer days does.
        spread: Of rows outside the quartiles of the live version's scores, either way: a model that became timid, or
            extreme, has its median where it was.
        slowness: Times the live version's median time, per call, that count as slow. Half as much again is beyond what
            one busy neighbour does to a median; a version twice as slow has nearly all its calls beyond it.
        unnoticed_s: A call faster than this is never slow: below, everything else in a request takes longer.
        false_alarm: Chance that a rollout of a version that is no worse than tolerated is taken back, over all its
            steps and guardrails together.
        step_rows: Rows each version has to answer before the next step. In a thousand, scores half a standard
            deviation off are found as good as always (700 at most in 30 simulated rollouts), and gross faults in 150.
        step_seconds: Seconds a step lasts at least.
    """

    errors: float = 0.01
    slow: float = 0.10
    score: float = 0.05
    spread: float = 0.05
    slowness: float = 1.5
    unnoticed_s: float = 0.001
    false_alarm: float = 0.01
    step_rows: int = 1_000
    step_seconds: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what would watch nothing, or alarm at everything.

        Raises:
            ValueError: Naming the field.
        """
        for name in ("errors", "slow", "score", "spread"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"guardrails: {name} is a difference of shares, from 0 to 1")
        if not 0.0 < self.false_alarm < 1.0:
            raise ValueError("guardrails: false_alarm is a chance between 0 and 1")
        if self.slowness <= 1.0:
            raise ValueError("guardrails: slowness must be above 1, else a version exactly as fast counts as slow")
        if self.step_rows < 1 or self.step_seconds < 0 or self.unnoticed_s < 0:
            raise ValueError(
                "guardrails: step_rows must be at least 1, and neither step_seconds nor unnoticed_s below 0"
            )


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What one version did during one step: whole numbers, so that the arms of several workers add up.

    Attributes:
        rows: Asked.
        errors: Of `rows`, those without an answer.
        calls: Of the model, however many rows each, whose time could be compared.
        slow: Of `calls`.
        scored: Rows whose score could be compared.
        high: Of `scored`, those above the live version's median.
        outer: Of `scored`, those outside the live version's quartiles.
    """

    rows: int = 0
    errors: int = 0
    calls: int = 0
    slow: int = 0
    scored: int = 0
    high: int = 0
    outer: int = 0

    def __add__(self, other: "Arm") -> "Arm":
        """Both together."""
        mine, its = asdict(self), asdict(other)
        return Arm(**{name: mine[name] + its[name] for name in mine})


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One share that is watched: its counts, what is tolerated, and its words."""

    words: str
    live: Count
    beside: Count
    tolerated: float
    prior: Prior
    both_ways: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the counts say of a step.

    Attributes:
        kind: `breach`: the new version is worse than tolerated; `go on`: it was seen long enough, and is not known to
            be; `wait`: not yet.
        reason: In words and figures.
    """

    kind: Kind
    reason: str


def judge(
    live: Arm, beside: Arm, rails: Guardrails, *, seconds: float, steps: int = 1, is_paired: bool = False
) -> Verdict:
    """Compare two versions over what they did in one step so far.

    Args:
        live: Of the live version.
        beside: Of the version beside it.
        rails: What is tolerated.
        seconds: Since the step began.
        steps: How many steps share the chance of a false alarm.
        is_paired: Both were asked about the same rows, as a shadow is.
    """
    watched = [*_watched(live, beside, rails)]
    tests = sum(2 if w.both_ways else 1 for w in watched) * steps
    needed = log(tests / rails.false_alarm)
    for w in watched:
        if evidence_beyond(w, is_paired=is_paired) >= needed:
            return Verdict(kind="breach", reason=_breach(w))
    if (why := _too_early(live, beside, rails, seconds)) is not None:
        return Verdict(kind="wait", reason=why)
    return Verdict(kind="go on", reason=f"{beside.rows} rows in {seconds:.0f} s, and none of the guardrails was met")


def evidence_beyond(watched: Watched, *, is_paired: bool = False) -> float:
    """Evidence (nats) that two shares differ by more than is tolerated; at least x with a chance of at most exp(-x)."""
    live, beside, prior = watched.live, watched.beside, watched.prior
    found = evidence(live, beside, watched.tolerated, prior)
    if watched.both_ways:
        found = max(found, evidence(live.others, beside.others, watched.tolerated, prior.turned))
    # Of two factors that may depend on each other, the root of the product is one whose mean is at most 1 (Cauchy and
    # Schwarz); for independent ones the product itself is.
    return found / 2 if is_paired else found


def _watched(live: Arm, beside: Arm, rails: Guardrails) -> Iterator[Watched]:
    half = Prior(hits=10.0, others=10.0)
    yield Watched(
        words="rows without an answer",
        live=Count(of=live.rows, hits=live.errors),
        beside=Count(of=beside.rows, hits=beside.errors),
        tolerated=rails.errors,
        prior=Prior(hits=0.5, others=5.0),
    )
    yield Watched(
        words=f"calls slower than {rails.slowness:g} times the live version's typical time",
        live=Count(of=live.calls, hits=live.slow),
        beside=Count(of=beside.calls, hits=beside.slow),
        tolerated=rails.slow,
        prior=Prior(hits=0.5, others=2.0),
    )
    yield Watched(
        words="scores above the live version's median",
        live=Count(of=live.scored, hits=live.high),
        beside=Count(of=beside.scored, hits=beside.high),
        tolerated=rails.score,
        prior=half,
        both_ways=True,
    )
    yield Watched(
        words="scores outside the live version's quartiles",
        live=Count(of=live.scored, hits=live.outer),
        beside=Count(of=beside.scored, hits=beside.outer),
        tolerated=rails.spread,
        prior=half,
        both_ways=True,
    )


def _breach(w: Watched) -> str:
    new, live = (f"{count.share:.1%} of {count.of}" for count in (w.beside, w.live))
    return f"{w.words}: {new} with the new version, {live} with the live one; {w.tolerated:.1%} apart is tolerated"


def _too_early(live: Arm, beside: Arm, rails: Guardrails, seconds: float) -> str | None:
    seen = {"rows": min(live.rows, beside.rows), "comparable scores": min(live.scored, beside.scored)}
    for what, number in seen.items():
        if number < rails.step_rows:
            return f"{number} of {rails.step_rows} {what} seen of each version"
    if not live.calls or not beside.calls:
        return "no call whose time can be compared was seen of each version"
    if seconds < rails.step_seconds:
        return f"{seconds:.0f} of {rails.step_seconds:.0f} s have passed"
    return None
