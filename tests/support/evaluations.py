"""Evaluations of made-up models, for tests of what is drawn and written about them."""

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from assets.logic.baselines import fit_baselines
from assets.logic.contenders import Contender, UnseenRows
from assets.logic.evaluation import Evaluation, Explanation, Header, evaluate
from assets.logic.splits import Window
from assets.policies import OTHER, PromotionPolicy
from tests.support.worlds import CLASSES, world

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
        header=header("binary"),
        policy=PromotionPolicy(leakage_ceiling=0.95),
        seed=3,
        explanation=_explanation(rng, truth) if explained else None,
        resamples=200,
    )


def header(task: str, **facts: Any) -> Header:
    """The header of a made-up evaluation."""
    return Header(
        use_case="line",
        question="Will it be late?" if task == "binary" else "How many cars pass, or of which kind?",
        task=task,
        test=TEST,
        created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        basis={"Code version": "abc123"},
        **facts,
    )


@cache
def evaluation_of(task: str, *, with_champion: bool = True) -> Evaluation:
    """Two challengers, a champion and two naive predictions of any task, with an explanation; 2,800 rows of 14 days."""
    here, before = world(task, seed=5, rows=2800, days=14), world(task, seed=6, rows=2800, days=14)
    by = {"place": np.random.default_rng(7).choice(["north", "south"], 2800)}
    baselines = fit_baselines(task, pl.DataFrame(by), before.rows.label, by=["place"], naive={}, classes=CLASSES)
    naive = [Contender(name=n, prediction=b.predict(pl.DataFrame(by)), title=b.title) for n, b in baselines.items()]
    return evaluate(
        [here.model("catboost", 0.2, title="CatBoost"), here.model("neural_network", 0.5)],
        here.model("champion", 0.4, title="the champion (ridge)") if with_champion else None,
        naive,
        here.rows,
        header=header(task, classes=(*CLASSES, OTHER) if task == "multiclass" else ()),
        policy=PromotionPolicy(),
        seed=3,
        explanation=_explanation(here.rng, here.truth),
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


def _explanation(rng: np.random.Generator, truth: np.ndarray) -> Explanation:
    features = pl.DataFrame(
        {"wind": truth[:50], "carrier": ["AA", None] * 25, "empty": pl.Series([None] * 50, dtype=pl.Float64)}
    )
    return Explanation(model="catboost", contributions=rng.normal(0, 1, (50, 3)), features=features)
