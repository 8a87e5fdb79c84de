"""Blocks put together: the `build_features` of a use case that declares its features instead of writing them.

Belongs here: calling the blocks in order, and a function of one's own as a block among them. Does not belong here: any
other block.
"""

import importlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import polars as pl

from assets.contracts import Feature
from assets.logic.feature_blocks.base import Block
from assets.logic.point_in_time import History
from assets.policies import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The `build_features` that declared blocks make; its `repr` is the declaration, the same in every process.

    Attributes:
        blocks: In order: a later block may use the features of those before it.
    """

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        counted = Counter(feature.name for feature in self.features())
        if twice := sorted(name for name, count in counted.items() if count > 1):
            raise DeclarationError(f"features: {twice} stand twice; name one of the blocks, or leave one out")

    @property
    def lookback(self) -> timedelta:
        """That of the block that looks furthest back."""
        return max((block.lookback for block in self.blocks), default=timedelta(0))

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that any block looks into, in the order of the blocks."""
        return tuple(dict.fromkeys(table for block in self.blocks for table in block.tables))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that the blocks need of the rows that ask, without those that earlier blocks make."""
        made: set[str] = set()
        needed: dict[str, None] = {}
        for block in self.blocks:
            needed |= dict.fromkeys(name for name in block.inputs if name not in made)
            made |= {feature.name for feature in block.features()} - set(needed)
        return tuple(needed)

    def features(self) -> tuple[Feature, ...]:
        """The features of all blocks, in order."""
        return tuple(feature for block in self.blocks for feature in block.features())

    def __call__(self, spine: pl.DataFrame, history: History) -> pl.DataFrame:
        """The spine with one column per feature.

        Args:
            spine: Inputs and `prediction_time`, shape (n, inputs + 1).
            history: What the blocks look into.

        Returns:
            Same rows, same order: the columns of `spine`, then the features that are not among them.

        Raises:
            DeclarationError: If an input is missing, or a block does not fit the history.
        """
        if absent := [name for name in self.inputs if name not in spine.columns]:
            raise DeclarationError(f"features: the rows that ask lack {absent}; they have {spine.columns}")
        frame = spine
        for block in self.blocks:
            built = block.build(frame, history)
            new = [series.alias(name) for name, series in built.items() if name not in spine.columns]
            frame = frame.with_columns(new)
        return frame


@dataclass(frozen=True, kw_only=True)
class Custom:
    """Features of a function of one's own, beside declared ones.

    Attributes:
        function: `package.module:name` of a pure function from a spine and the `History` to a frame with (at least)
            the declared columns, same rows, same order. It is imported when it is first called.
        declared: What it makes.
        lookback: How far back it looks.
        tables: What it looks into.
        inputs: What it needs of the rows that ask.
    """

    function: str
    declared: tuple[Feature, ...]
    lookback: timedelta = timedelta(0)
    tables: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        module, _, name = self.function.partition(":")
        if not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            raise DeclarationError(
                f"features, Custom, field function: {self.function!r} is not of the form package.module:name"
            )

    @property
    def entries(self) -> tuple[str, ...]:
        """The function, for the code version: it is named here and not imported."""
        return (self.function,)

    def features(self) -> tuple[Feature, ...]:
        """As declared."""
        return self.declared

    def build(self, spine: pl.DataFrame, history: History) -> dict[str, pl.Series]:
        """The declared columns of what the function returns.

        Raises:
            DeclarationError: If the function is not there, or returns other rows or lacks a column.
        """
        built = _function(self.function)(spine, history)
        lacking = [feature.name for feature in self.declared if feature.name not in built.columns]
        if lacking or len(built) != len(spine):
            raise DeclarationError(
                f"features, Custom: {self.function} returned {len(built)} rows for {len(spine)}, and lacks {lacking}"
            )
        return {feature.name: built[feature.name] for feature in self.declared}


@lru_cache
def _function(path: str) -> Callable[[pl.DataFrame, History], pl.DataFrame]:
    module, _, name = path.partition(":")
    if not hasattr(importlib.import_module(module), name):
        raise DeclarationError(f"features, Custom, field function: there is no function {path!r}")
    found: Callable[[pl.DataFrame, History], pl.DataFrame] = getattr(importlib.import_module(module), name)
    return found
