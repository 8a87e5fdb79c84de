"""Small values travel between assets as JSON, typed, whole, and never as a pickle."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from resources.values import JsonValues


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str
    flour_g: float
    tested_at: datetime
    steps: tuple[str, ...]
    by_oven: Mapping[str, int]
    parent: "Recipe | None" = None


BREAD = Recipe(
    name="bread",
    flour_g=0.1 + 0.2,
    tested_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    steps=("mix", "wait"),
    by_oven={"gas": 210},
)
RYE = Recipe(name="rye", flour_g=1.0, tested_at=BREAD.tested_at, steps=(), by_oven={}, parent=BREAD)


def handed_on(value: object, kind: type, values: JsonValues) -> object:
    """What the next asset gets, in a run of its own."""

    @dg.asset(key=["bakery", "recipe"])
    def recipe() -> kind:  # type: ignore[valid-type]
        return value

    @dg.asset(key=["bakery", "received"], ins={"given": dg.AssetIn(key=["bakery", "recipe"], dagster_type=kind)})
    def received(given) -> dg.MaterializeResult[None]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        got.append(given)
        return dg.MaterializeResult()

    got: list[object] = []
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in (recipe, received):
            dg.materialize([recipe, received], selection=[asset], resources={"io_manager": values}, instance=instance)
    return got[0]


@pytest.fixture
def values(tmp_path: Path) -> JsonValues:
    return JsonValues(root=str(tmp_path / "values"))


@pytest.mark.parametrize(
    ("value", "kind"), [(BREAD, Recipe), (RYE, Recipe), ({"a": 1}, dict[str, int]), ([1.5], list[float])]
)
def test_a_value_arrives_as_it_was_handed_on(value: object, kind: type, values: JsonValues) -> None:
    assert handed_on(value, kind, values) == value


def test_a_value_is_json_under_the_key_of_its_asset(values: JsonValues) -> None:
    handed_on(BREAD, Recipe, values)
    file = Path(values.root, "bakery", "recipe.json")
    assert json.loads(file.read_text())["flour_g"] == BREAD.flour_g
    assert [p.name for p in file.parent.iterdir()] == ["recipe.json"]


def test_the_materialisation_says_where_the_value_is(values: JsonValues) -> None:
    @dg.asset(key=["bakery", "recipe"])
    def recipe() -> Recipe:
        return BREAD

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([recipe], resources={"io_manager": values}, instance=instance)
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    assert metadata["value/uri"].value == str(Path(values.root, "bakery", "recipe.json"))


def test_an_asset_without_a_value_leaves_none(values: JsonValues) -> None:
    @dg.asset(key=["bakery", "oven"])
    def oven() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([oven], resources={"io_manager": values}, instance=instance).success
    assert not Path(values.root).exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"bakery/recipe has no value at .*recipe\.json; materialise bakery/recipe first"),
        ('{"name": "bread"}', r"recipe\.json does not hold a .*Recipe.*materialise bakery/recipe again.*4 fields"),
        ('{"name": "br', r"recipe\.json does not hold"),
    ],
    ids=["never materialised", "another shape", "cut off"],
)
def test_a_value_that_is_not_there_or_not_right_says_what_to_do_and_is_not_tried_again(
    content: str | None, says: str, values: JsonValues
) -> None:
    if content is not None:
        file = Path(values.root, "bakery", "recipe.json")
        file.parent.mkdir(parents=True)
        file.write_text(content)

    @dg.asset(key=["bakery", "recipe"])
    def recipe() -> Recipe:
        return BREAD

    @dg.asset(ins={"given": dg.AssetIn(key=["bakery", "recipe"])}, retry_policy=dg.RetryPolicy(max_retries=2))
    def reader(given: Recipe) -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [recipe, reader],
            selection=[reader],
            resources={"io_manager": values},
            instance=instance,
            raise_on_error=False,
        )
    (failure,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert failure.user_failure_data is not None
    assert re.search(says, str(failure.user_failure_data.description))
    assert not any(e.event_type_value == "STEP_UP_FOR_RETRY" for e in result.all_events)


def test_a_value_on_s3_arrives_too(s3_root: str) -> None:
    assert handed_on(BREAD, Recipe, JsonValues(root=f"{s3_root}/values")) == BREAD
