"""Small declarations in folders of a test, and tables for them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest

from assets.contracts import UseCase
from assets.logic.point_in_time import History
from assets.stages.cleaned import Cleaned, clean_table
from assets.stages.raw import take_in
from pipelines.declared.build import load_deliver, load_use_case
from resources.objects import ObjectStore

Declare = Callable[..., Path]


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    """Writes `use_case.yaml` into a folder `shop`, and tables beside it."""

    def written(text: str, **tables: str) -> Path:
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        for name, rows in tables.items():
            (folder / f"{name}.csv").write_text(dedent(rows).lstrip(), encoding="utf-8")
        path = folder / "use_case.yaml"
        path.write_text(dedent(text).lstrip(), encoding="utf-8")
        return path

    return written


class Line:
    """A declaration whose data has been delivered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.use_case: UseCase = load_use_case(path)
        self.landing = ObjectStore(str(path.parent.parent / "landing"))
        self.said: list[str] = []
        self.deliver()

    def deliver(self) -> None:
        deliver = load_deliver(self.path)
        assert deliver is not None
        deliver(self.landing, self.said.append)

    def keys(self, table: str | None = None) -> list[str]:
        source = self.use_case.table(table or self.use_case.entity_table).source
        return sorted(str(k) for k in source.arrivals(self.landing))

    def cleaned(self, table: str | None = None) -> Cleaned:
        declared = self.use_case.table(table or self.use_case.entity_table)
        keys = self.keys(declared.name) if declared.is_partitioned else None
        return clean_table(declared, take_in(declared, self.landing, keys).rows, {})

    def history(self) -> History:
        return History({t.name: self.cleaned(t.name).rows for t in self.use_case.tables}, self.use_case.clocks)

    def reasons(self) -> dict[str, int]:
        counted = self.cleaned().rejected["reason"].value_counts().sort("reason")
        return {str(reason): int(n) for reason, n in counted.rows()}

    def column(self, name: str) -> pl.Series:
        return self.cleaned().rows[name]


@pytest.fixture
def line(declare: Declare) -> Callable[..., Line]:
    """Declares and delivers."""
    return lambda text, **tables: Line(declare(text, **tables))
