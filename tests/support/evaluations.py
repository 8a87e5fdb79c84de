"""Evaluations of made-up models, for tests of what is drawn and written about them."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from assets.logic.contenders import Contender, UnseenRows
from assets.logic.evaluation import Evaluation, Explanation, evaluate
from assets.logic.splits import Window
from assets.policies import PromotionPolicy

DAYS = np.arange("2013-08-01", "2013-08-15", dtype="datetime64[D]")
TEST = Window(start=date(2013, 8, 1), end=date(2013, 8, 14))


def made_up_evaluation(
    *, champion: Contender | None = None, label: np.ndarray | None = None, broken: bool = False, explained: bool = False
) -> Evaluation:
    """One challenger and one baseline on 2,800 rows of 14 days, and a champion if one is given.

    Args:
        champion: Takes part if given.
        label: Instead of labels that follow the challenger's probabilities.
        broken: The challenger could not be scored.
        explained: With contributions of three features.
    """
    rng = np.random.default_rng(5)
    truth = rng.normal(-1.2, 1.2, 2800)
    chance = 1 / (1 + np.exp(-truth))
    labels = (rng.random(2800) < chance).astype(np.int8) if label is None else label
    features = pl.DataFrame(
        {"wind": truth[:50], "carrier": ["AA", None] * 25, "empty": pl.Series([None] * 50, dtype=pl.Float64)}
    )
    cat = Contender(
        name="catboost",
        prediction=None if broken else chance,
        problem="its file is gone" if broken else None,
        version="line/2",
        fingerprint="f2",
        trained_through=date(2013, 7, 31),
        title="CatBoost",
    )
    return evaluate(
        [cat],
        champion,
        [Contender(name="base_rate", prediction=np.full(2800, 0.27), title="base rate of the training rows")],
        UnseenRows(label=labels, day=np.repeat(DAYS, 200), slices=pl.DataFrame({"origin": ["<A&B>", "C"] * 1400})),
        use_case="line",
        question="Will it be late?",
        task="binary",
        test=TEST,
        policy=PromotionPolicy(leakage_ceiling=0.95),
        seed=3,
        created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        basis={"Code version": "abc123"},
        explanation=Explanation(model="catboost", contributions=rng.normal(0, 1, (50, 3)), features=features)
        if explained
        else None,
        resamples=200,
    )


def champion_like(fingerprint: str = "f1") -> Contender:
    """A champion that guesses."""
    rng = np.random.default_rng(6)
    return Contender(
        name="champion",
        prediction=rng.uniform(0.1, 0.4, 2800),
        version="line/1",
        fingerprint=fingerprint,
        trained_through=date(2013, 6, 30),
    )
