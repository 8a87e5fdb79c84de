"""Blocks put together: names, order, one row as many, nothing of the future."""

from datetime import timedelta
from typing import Any, Protocol

import polars as pl
import pytest

from assets.checks.leakage import differing_features
from assets.code_values import spoken
from assets.code_version import code_version, reached
from assets.contracts import Feature
from assets.logic.feature_blocks.blocks import Blocks, Custom
from assets.logic.feature_blocks.calendar import Calendar
from assets.logic.feature_blocks.inputs import AsIs, Ratio, TextLength
from assets.logic.feature_blocks.past_values import Lag, SameSlot
from assets.logic.feature_blocks.rates import Frequency, TargetRate
from assets.logic.feature_blocks.records import Latest, SinceLast
from assets.logic.feature_blocks.windows import Window
from assets.logic.point_in_time import History
from assets.policies import DeclarationError

DAY = timedelta(days=1)
HERE = "assets.logic.feature_blocks.blocks"
ALL = Blocks(
    blocks=(
        AsIs(numbers=("weight",), categories=("shop",), codes=("pieces",)),
        TextLength(columns=("note",)),
        Calendar(column="due_at", zone="America/New_York", country="US", parts=("hour", "season", "days_to_holiday")),
        Lag(table="readings", column="value", by=("shop",), at="due_at", ago=(DAY, 7 * DAY), zone="America/New_York"),
        Lag(table="orders", column="status", by=("shop",), at="due_at", ago=(2 * DAY,), kind="categorical"),
        SameSlot(table="readings", column="value", by=("shop",), at="due_at", every=DAY),
        Window(table="orders", column="minutes", by=("shop",), over=(DAY, 7 * DAY), of=("count", "mean", "sum", "std")),
        Window(table="orders", column="minutes", over=(7 * DAY,), ago=7 * DAY),
        Window(table="readings", column="value", over=(7 * DAY,), of=("count", "std")),
        Frequency(table="readings", by=("shop",), over=(5 * DAY,)),
        TargetRate(table="orders", column="status", equals="late", by=("shop",), over=(9 * DAY,)),
        TargetRate(table="orders", column="minutes", by=("shop", "pieces"), over=(9 * DAY,)),
        Latest(table="readings", numbers=("value",), by=("shop",), within=DAY),
        Latest(table="shops", categories=("town",), by=("shop",)),
        SinceLast(table="readings", by=("shop",), within=3 * DAY),
        SinceLast(table="orders", by=("shop",), within=3 * DAY, at="due_at"),
        Ratio(numerator="minutes_mean_1d_by_shop", denominator="minutes_mean_7d_by_shop"),
    )
)


class World(Protocol):
    history: History
    spine: pl.DataFrame


def differing(world: World, blocks: Blocks, sample: int = 40) -> set[str]:
    names = [feature.name for feature in blocks.features()]
    features = blocks(world.spine, world.history)
    found = differing_features(
        world.spine, features, world.history, blocks, names, lookback=blocks.lookback, sample=sample, seed=5
    )
    return {difference["feature"] for difference in found}


def test_no_block_knows_the_future_or_looks_back_further_than_it_says(world: World) -> None:
    assert differing(world, ALL) == set()


@pytest.mark.parametrize("block", ALL.blocks, ids=lambda block: type(block).__name__)
def test_each_block_keeps_to_its_own_lookback(world: World, block: Any) -> None:
    if not isinstance(block, Ratio):
        assert differing(world, Blocks(blocks=(block,)), sample=25) == set()


def cheat(spine: pl.DataFrame, history: History) -> pl.DataFrame:
    outcome = history.tables["orders"].group_by("due_at").agg(cheat=pl.col("minutes").max())
    return spine.join(outcome, on="due_at", how="left", maintain_order="left").select("cheat")


def test_a_cheat_among_the_blocks_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{HERE}.cheat", cheat, raising=False)
    declared = (Feature(name="cheat", kind="numeric", group="history", description="The outcome itself"),)
    custom = Custom(function=f"{HERE}:cheat", declared=declared, lookback=DAY, tables=("orders",), inputs=("due_at",))
    assert differing(world, Blocks(blocks=(*ALL.blocks, custom))) == {"cheat"}


def test_one_row_gets_the_answer_it_gets_among_many(world: World) -> None:
    among = ALL(world.spine, world.history)
    alone = pl.concat([ALL(world.spine[i : i + 1], world.history) for i in range(0, len(world.spine), 25)])
    assert alone.equals(among.gather_every(25))


def test_the_order_of_the_rows_decides_nothing(world: World) -> None:
    shuffled = world.spine.with_row_index("i").sample(fraction=1, shuffle=True, seed=3)
    answers = ALL(shuffled.drop("i"), world.history).with_columns(i=shuffled["i"]).sort("i").drop("i")
    assert answers.equals(ALL(world.spine, world.history))


def test_the_answer_is_the_spine_and_every_feature_in_its_declared_kind(world: World) -> None:
    answers = ALL(world.spine, world.history)
    assert answers.columns[: world.spine.width] == world.spine.columns
    assert answers.select(world.spine.columns).equals(world.spine)
    declared = {feature.name: feature.kind for feature in ALL.features()}
    assert set(answers.columns) == {*world.spine.columns, *declared}
    for name, kind in declared.items():
        assert answers.schema[name].is_numeric() == (kind == "numeric"), name


def test_no_rows_have_features_of_the_same_types(world: World) -> None:
    assert ALL(world.spine.head(0), world.history).schema == ALL(world.spine, world.history).schema


def test_empty_tables_answer_with_nulls_and_counts_of_nothing(world: World) -> None:
    empty = History({name: frame.clear() for name, frame in world.history.tables.items()}, world.history.clocks)
    answers = ALL(world.spine, empty)
    assert answers["minutes_count_1d_by_shop"].unique().to_list() == [0.0]
    assert answers["minutes_rate_9d_by_shop_pieces"].null_count() == len(answers)
    assert answers["value_1d_ago_by_shop"].null_count() == len(answers)


def test_lookback_tables_and_inputs_are_those_of_all_blocks() -> None:
    assert ALL.lookback == max(block.lookback for block in ALL.blocks) == 16 * DAY
    assert ALL.tables == ("readings", "orders", "shops")
    assert ALL.inputs == ("weight", "shop", "pieces", "note", "due_at")


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"\['x_mean_1d'\] stand twice"):
        Blocks(blocks=(Window(table="a", column="x", over=(DAY,)), Window(table="b", column="x", over=(DAY,))))


def test_a_missing_input_is_named(world: World) -> None:
    with pytest.raises(DeclarationError, match=r"lack \['note'\]"):
        ALL(world.spine.drop("note"), world.history)


def test_what_is_declared_is_part_of_the_code_version() -> None:
    def version(length: timedelta) -> str:
        return code_version(Blocks(blocks=(Window(table="t", column="x", over=(length,)),)))

    assert version(DAY) == version(DAY)
    assert version(DAY) != version(2 * DAY)
    assert "0x" not in repr(ALL)


def test_blocks_and_functions_of_ones_own_are_part_of_the_code_version() -> None:
    mine = Blocks(blocks=(Custom(function="tests.support.tables:churn", declared=()), AsIs(numbers=("x",))))
    made_of = reached(*spoken(mine)[1]).definitions
    assert {"tests.support.tables:churn", "assets.logic.feature_blocks.inputs:AsIs"} < made_of.keys()


@pytest.mark.parametrize("path", ["no_colon", "a:b:c", "a.:b", ":f", "a:"])
def test_a_function_needs_its_module_and_its_name(path: str) -> None:
    with pytest.raises(DeclarationError, match=r"form package.module:name"):
        Custom(function=path, declared=())


def test_a_function_that_is_not_there_or_returns_other_rows_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = (Feature(name="x", kind="numeric", group="input", description="x"),)
    with pytest.raises(DeclarationError, match="there is no function"):
        Custom(function=f"{HERE}:absent", declared=declared).build(world.spine, world.history)
    monkeypatch.setattr(f"{HERE}.short", lambda spine, _: spine.head(1), raising=False)
    with pytest.raises(DeclarationError, match=r"returned 1 rows for 250, and lacks \['x'\]"):
        Custom(function=f"{HERE}:short", declared=declared).build(world.spine, world.history)
