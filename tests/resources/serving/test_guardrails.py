"""Guardrails, by simulated rollouts looked at after every batch: how often they alarm for nothing, and how soon."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from resources.serving.guardrails import Arm, Guardrails, Verdict, Watched, evidence_beyond, judge
from resources.serving.shares import Count, Prior, evidence


@dataclass(frozen=True, kw_only=True)
class Version:
    """Chances of a row, by what is watched."""

    errors: float = 0.001
    slow: float = 0.05
    high: float = 0.5
    outer: float = 0.5

    def answered(self, rows: int, rng: np.random.Generator) -> Arm:
        return Arm(
            rows=rows,
            errors=int(rng.binomial(rows, self.errors)),
            calls=rows,
            slow=int(rng.binomial(rows, self.slow)),
            scored=rows,
            high=int(rng.binomial(rows, self.high)),
            outer=int(rng.binomial(rows, self.outer)),
        )


GOOD = Version()
BARELY_TOLERATED = Version(errors=0.011, slow=0.15, high=0.55, outer=0.45)


def rollout(
    beside: Version, seed: int, *, rails: Guardrails, share: float = 0.05, batches: int = 60, batch: int = 400
) -> tuple[Verdict, int]:
    """The last verdict of one step, looked at after every batch until it is a breach; and rows of the new version."""
    rng, live_arm, beside_arm = np.random.default_rng(seed), Arm(), Arm()
    verdict = Verdict(kind="wait", reason="")
    for _ in range(batches):
        rows = int(rng.binomial(batch, share))
        live_arm += GOOD.answered(batch - rows, rng)
        beside_arm += beside.answered(rows, rng)
        verdict = judge(live_arm, beside_arm, rails, seconds=60.0)
        if verdict.kind == "breach":
            break
    return verdict, beside_arm.rows


@pytest.mark.parametrize("beside", [GOOD, BARELY_TOLERATED], ids=["the same", "barely tolerated"])
def test_a_tolerable_version_is_taken_back_no_more_often_than_declared(beside: Version) -> None:
    rails = Guardrails(false_alarm=0.1)
    verdicts = [rollout(beside, seed, rails=rails, share=0.25, batches=15)[0].kind for seed in range(400)]
    assert verdicts.count("breach") / len(verdicts) <= 0.1


@pytest.mark.parametrize("false_alarm", [0.1, 0.001])
def test_a_breach_takes_evidence_that_the_false_alarm_rate_divides_among_all_tests_and_steps(
    false_alarm: float,
) -> None:
    rails, steps, tests = Guardrails(false_alarm=false_alarm), 3, 6  # scores and spread are tested both ways
    found = {
        errors: evidence(Count(of=5_000, hits=0), Count(of=500, hits=errors), rails.errors, Prior(hits=0.5, others=5.0))
        for errors in range(60)
    }
    breaches = [
        errors
        for errors in found
        if judge(Arm(rows=5_000), Arm(rows=500, errors=errors), rails, seconds=60.0, steps=steps).kind == "breach"
    ]
    assert breaches == [errors for errors, nats in found.items() if nats >= np.log(tests * steps / false_alarm)]
    assert 5 < min(breaches) < 50


BAD = {
    "one row in five fails": (Version(errors=0.2), 150),
    "twice as slow": (Version(slow=0.95), 60),
    "half as slow again, in half of the calls": (Version(slow=0.6), 200),
    "scores 0.3 logits higher, of a spread of 1": (Version(high=0.618), 5_000),
    "scores 0.3 logits lower, of a spread of 1": (Version(high=0.382), 5_000),
    "scores half a standard deviation higher": (Version(high=0.691), 1_500),
    "scores of half the spread": (Version(outer=0.177), 300),
    "scores of twice the spread": (Version(outer=0.736), 600),
    "one and the same score for all": (Version(high=0.0, outer=0.0), 100),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_version_is_found_within_so_many_of_its_rows(name: str) -> None:
    version, rows = BAD[name]
    for seed in range(20):
        verdict, needed = rollout(version, seed, rails=Guardrails(), batches=300)
        assert verdict.kind == "breach"
        assert needed <= rows


def test_a_better_version_goes_on() -> None:
    verdict, rows = rollout(Version(errors=0.0, slow=0.0, high=0.52, outer=0.48), 3, rails=Guardrails())
    assert (verdict.kind, rows >= 1_000) == ("go on", True)


def test_a_drop_is_as_much_evidence_as_the_same_rise() -> None:
    prior, live = Prior(hits=10.0, others=10.0), Count(of=400, hits=200)
    up, down = (
        Watched(words="", live=live, beside=Count(of=100, hits=h), tolerated=0.05, prior=prior, both_ways=True)
        for h in (80, 20)
    )
    assert evidence_beyond(up) == pytest.approx(evidence_beyond(down))


def test_rows_that_both_versions_were_asked_about_count_half() -> None:
    watched = Watched(
        words="",
        live=Count(of=90, hits=0),
        beside=Count(of=90, hits=50),
        tolerated=0.0,
        prior=Prior(hits=0.5, others=0.5),
    )
    assert evidence_beyond(watched, is_paired=True) == pytest.approx(evidence_beyond(watched) / 2)


def test_a_breach_says_what_and_how_much() -> None:
    live, beside = Arm(rows=1000, errors=1), Arm(rows=100, errors=30)
    reason = judge(live, beside, Guardrails(), seconds=1.0).reason
    assert reason == (
        "rows without an answer: 30.0% of 100 with the new version, 0.1% of 1000 with the live one; 1.0% apart is "
        "tolerated"
    )


def test_tolerating_everything_takes_a_guardrail_away() -> None:
    live, beside = Arm(rows=1000, errors=1), Arm(rows=100, errors=100)
    assert judge(live, beside, Guardrails(errors=1.0), seconds=1.0).kind == "wait"


MANY = Arm(rows=2000, calls=2000, scored=2000, high=1000, outer=1000)


@pytest.mark.parametrize(
    ("live", "beside", "seconds", "reason"),
    [
        (MANY, replace(MANY, rows=900), 60.0, "900 of 1000 rows seen of each version"),
        (replace(MANY, rows=10), MANY, 60.0, "10 of 1000 rows seen of each version"),
        (MANY, replace(MANY, scored=0, high=0, outer=0), 60.0, "0 of 1000 comparable scores seen of each version"),
        (MANY, replace(MANY, calls=0), 60.0, "no call whose time can be compared was seen of each version"),
        (MANY, MANY, 59.0, "59 of 60 s have passed"),
    ],
)
def test_a_step_waits_until_enough_was_seen(live: Arm, beside: Arm, seconds: float, reason: str) -> None:
    assert judge(live, beside, Guardrails(), seconds=seconds) == Verdict(kind="wait", reason=reason)


def test_more_steps_need_more_evidence_each() -> None:
    live, beside = Arm(rows=1000), Arm(rows=100, errors=11)
    kinds = [judge(live, beside, Guardrails(), seconds=1.0, steps=steps).kind for steps in (1, 10_000)]
    assert kinds == ["breach", "wait"]


def test_arms_of_several_workers_add_up() -> None:
    assert Arm(rows=3, errors=1, calls=2) + Arm(rows=4, slow=1, scored=4, high=2, outer=1) == Arm(
        rows=7, errors=1, calls=2, slow=1, scored=4, high=2, outer=1
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"errors": -0.1}, {"slow": 1.1}, {"false_alarm": 0.0}, {"slowness": 1.0}, {"step_rows": 0},
        {"step_seconds": -1.0},
    ],
)  # fmt: skip
def test_guardrails_that_cannot_work_are_refused(odd: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"guardrails: .*{next(iter(odd))}"):
        Guardrails(**odd)  # type: ignore[arg-type]
