"""Tables that are too small, too wide in one column, or empty of information: a sentence, or a model that works."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.contracts import Feature
from assets.policies import Task
from assets.trainers.base import Rows, TrainingData
from assets.trainers.families import FAMILIES, load_model, trainer
from assets.trainers.linear import RARE, common_values, table_of
from assets.trainers.search import search
from tests.assets.trainers.cases import OWN, QUICK_OF_ALL, data_of, rows

PAIRS = [(task, name) for name, family in FAMILIES.items() for task in family.tasks]
PAIRS += [(task, f"{OWN}:forest") for task in ("binary", "regression")]
NUMBER = Feature(name="x", kind="numeric", group="any", description="")


def quiet(_: str) -> None: ...


def tiny(task: Task, n: int, *, constant: bool = False) -> TrainingData:
    """`n` days of one row each with one number, and two rows to calibrate on."""
    random = np.random.default_rng(1)
    label = np.arange(n + 2) % 2
    day = np.datetime64("2021-01-01") + np.arange(n + 2)
    x = np.zeros(n + 2) if constant else label + random.normal(0, 0.1, n + 2)
    kept = label.astype({"binary": np.int8, "multiclass": np.int64}.get(task, np.float64))
    made = [
        Rows(features=pl.DataFrame({"x": x[part]}), label=kept[part], day=day[part])
        for part in (slice(0, n), slice(n, None))
    ]
    classes = ("a", "b") if task == "multiclass" else ()
    return TrainingData(task=task, classes=classes, features=(NUMBER,), train=made[0], validation=made[1], seed=1)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_five_rows_and_one_feature_make_a_model(task: Task, family: str, tmp_path: Path) -> None:
    data = tiny(task, 5)
    small = {"catboost": {"iterations": 20}, "neural_network": {"epochs": 4}}.get(family, {})
    found = search(trainer(family), data, trials=1, rows=1_000, seed=1, progress=quiet, fixed=small)
    model = trainer(family).fit(data, found.parameters, quiet).model
    model.save(tmp_path)
    answered = load_model(tmp_path).predict(data.validation.features)
    assert np.isfinite(answered).all()
    assert np.isfinite(model.explain(data.validation.features)).all()


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_features_that_never_vary_are_refused_in_a_sentence(task: Task, family: str) -> None:
    with pytest.raises(ValueError, match=r"none of the features \['x'\] takes more than one value in the 50 training"):
        trainer(family).fit(tiny(task, 50, constant=True), {}, quiet)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_one_label_throughout_training_is_refused_in_a_sentence(task: Task, family: str) -> None:
    data = data_of(task)
    same = replace(data, train=replace(data.train, label=np.ones_like(data.train.label)))
    with pytest.raises(ValueError, match="all 3000 training rows"):
        trainer(family).fit(same, QUICK_OF_ALL[family], quiet)


@pytest.mark.parametrize(("task", "family"), PAIRS)
def test_columns_of_nulls_are_carried_along(task: Task, family: str) -> None:
    data = data_of(task)
    nulls = [pl.lit(None, pl.Float64).alias("age"), pl.lit(None, pl.String).alias("site")]
    train = replace(data.train, features=data.train.features.with_columns(nulls))
    fit = trainer(family).fit(replace(data, train=train), QUICK_OF_ALL[family], quiet)
    assert np.isfinite(fit.model.predict(data.validation.features)).all()
    assert np.isfinite(fit.model.explain(data.validation.features[:20])).all()


@pytest.mark.parametrize("label", [np.nan, np.inf])
def test_a_quantity_that_is_no_number_is_refused(label: float) -> None:
    data = data_of("regression")
    spoilt = data.train.label.copy()
    spoilt[3] = label
    with pytest.raises(ValueError, match="training window is missing or infinite"):
        trainer("ridge").fit(replace(data, train=replace(data.train, label=spoilt)), {}, quiet)


def test_a_count_below_zero_is_refused_with_what_to_do() -> None:
    data = data_of("count")
    below = replace(data.validation, label=data.validation.label - 50)
    with pytest.raises(ValueError, match="below 0; declare the task regression"):
        trainer("ridge").fit(replace(data, validation=below), {}, quiet)


def test_a_class_that_is_not_declared_is_refused() -> None:
    data = data_of("multiclass")
    with pytest.raises(ValueError, match="not a position"):
        trainer("catboost").fit(replace(data, classes=("blue",)), {}, quiet)


def test_a_validation_window_of_new_classes_only_is_refused() -> None:
    data = data_of("multiclass")
    label = np.where(data.train.label == 3, 0, data.train.label)
    only_new = replace(data.validation, label=np.full_like(data.validation.label, 3))
    with pytest.raises(ValueError, match="no row of the validation window is of a class"):
        trainer("catboost").fit(replace(data, train=replace(data.train, label=label), validation=only_new), {}, quiet)


def many_values(n: int) -> TrainingData:
    """A category with a value of its own in nearly every row, beside a feature that matters."""
    data = data_of("regression")
    random = np.random.default_rng(1)
    parts = []
    for first, size, seed in (("2021-01-01", n, 1), ("2021-06-01", 500, 2)):
        frame = rows(first, 1, seed, rows_per_day=size).features.with_columns(
            colour=pl.Series([f"value {v}" for v in random.integers(0, 100_000 * 3, size)])
        )
        label = frame["age"].to_numpy() + random.normal(size=size)
        parts.append(Rows(features=frame, label=label, day=np.full(size, np.datetime64(first))))
    return replace(data, train=parts[0], validation=parts[1])


@pytest.mark.parametrize("family", ["ridge", "catboost", "neural_network"])
def test_a_category_of_100_000_values_neither_fills_the_memory_nor_the_disk(family: str, tmp_path: Path) -> None:
    data = many_values(120_000)
    assert data.train.features["colour"].n_unique() > 90_000
    quick = QUICK_OF_ALL[family] | {"neural_network": {"epochs": 1}, "catboost": {"iterations": 5}}.get(family, {})
    tracemalloc.start()
    model = trainer(family).fit(data, quick, quiet).model
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    model.save(tmp_path)
    assert peak < 400e6
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 20e6
    assert np.isfinite(model.predict(data.validation.features)).all()


def test_a_linear_model_keeps_the_common_ones_of_very_many_values() -> None:
    texts = pl.Series([f"rare {i}" for i in range(2_000)] + ["a"] * 50 + [None] * 5)
    feature = Feature(name="k", kind="categorical", group="any", description="")
    common = common_values(pl.DataFrame({"k": texts}), [feature], 20)
    assert common == {"k": ["a"]}
    seen = table_of(pl.DataFrame({"k": ["a", "rare 7", "never seen", None]}), [feature], common)["k"].tolist()
    assert seen == ["a", RARE, RARE, "<missing>"]


@pytest.mark.parametrize("family", ["logistic_regression", "catboost", "neural_network"])
def test_large_binary_tables_get_the_defaults_of_large_tables(family: str) -> None:
    label = np.zeros(161_000, dtype=np.int8)
    data = data_of("binary")
    large = replace(data, train=replace(data.train, label=label))
    assert trainer(family).defaults_for(large) == trainer(family).defaults


@pytest.mark.parametrize(("task", "family"), [p for p in PAIRS if p[1] in FAMILIES])
def test_a_small_table_keeps_its_categories_and_is_served_no_worse_than_a_large_one(task: Task, family: str) -> None:
    """500 rows whose label hangs on a category of ten values, 50 rows each."""
    random = np.random.default_rng(4)

    def part(first: str, n: int) -> Rows:
        group = random.integers(0, 10, n)
        mean = np.array([0.0, 6, 1, 5, 2, 4, 3, 7, 0, 6])[group]
        label = {
            "binary": lambda: (mean + random.normal(size=n) > 3).astype(np.int8),
            "multiclass": lambda: np.digitize(mean + random.normal(size=n), [2, 4]).astype(np.int64),
            "regression": lambda: mean + random.normal(size=n),
            "count": lambda: random.poisson(mean + 0.5).astype(np.float64),
        }[task]()
        frame = pl.DataFrame({"x": random.normal(size=n), "k": [f"g{g}" for g in group]})
        day = np.datetime64(first) + np.arange(n) * 50 // n
        return Rows(features=frame, label=label, day=day)

    features = (NUMBER, Feature(name="k", kind="categorical", group="any", description=""))
    classes = ("a", "b", "c") if task == "multiclass" else ()
    data = TrainingData(
        task=task, classes=classes, features=features, train=part("2021-01-01", 500),
        validation=part("2021-03-01", 200), seed=1,
    )  # fmt: skip
    own, large = (
        min(v for k, v in trainer(family).fit(data, given, quiet).metrics.items() if k.endswith("_uncalibrated"))
        for given in ({}, trainer(family).defaults)
    )
    assert own < large * 1.05
    assert own < {"binary": 0.35, "multiclass": 0.6, "regression": 1.0, "count": 1.6}[task]


def test_a_model_saved_before_there_were_tasks_is_a_binary_one(tmp_path: Path) -> None:
    model = trainer("catboost").fit(data_of("binary"), QUICK_OF_ALL["catboost"], quiet).model
    model.save(tmp_path)
    path = tmp_path / "model.json"
    kept = json.loads(path.read_text())
    kept["fitted"]["reference"] = kept["fitted"]["reference"][0]
    path.write_text(json.dumps({k: v for k, v in kept.items() if k not in ("task", "classes", "target")}))
    few = data_of("binary").validation.features[:50]
    assert load_model(tmp_path).outputs == ("probability",)
    assert np.array_equal(load_model(tmp_path).predict(few), model.predict(few))
    assert np.array_equal(load_model(tmp_path).explain(few), model.explain(few))
