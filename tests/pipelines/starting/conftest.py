"""A repository of a test in which use cases are begun."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import pipelines
from pipelines import catalogue
from pipelines.starting.findings import Wishes
from pipelines.starting.new import Started, new
from pipelines.starting.questions import Asker

NOW = datetime(2025, 1, 1, tzinfo=UTC)
WORKSPACE = "load_from:\n  - python_module: {module_name: a.definitions, location_name: a}\n"


class Desk:
    """Where a person sits who begins a use case."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []
        (root / "workspace.yaml").write_text(WORKSPACE)

    def begin(
        self, source: Path | str, target: str, *, name: str = "shop", now: datetime = NOW, **wishes: Any
    ) -> Started:
        asker = Asker(echo=self.said.append, prompt=wishes.pop("prompt", None))
        return new(name, str(source), Wishes(target=target, **wishes), asker, root=self.root, now=now)

    def text(self, name: str = "shop") -> str:
        return (self.root / "pipelines" / name / "use_case.yaml").read_text(encoding="utf-8")

    @property
    def told(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    (tmp_path / "root" / "pipelines").mkdir(parents=True)
    # The catalogue finds what is begun here.
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path / "root" / "pipelines")])
    monkeypatch.setattr(catalogue, "WORKSPACE", tmp_path / "root" / "workspace.yaml")
    return Desk(tmp_path / "root")


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[pl.DataFrame], Path]:
    def written(frame: pl.DataFrame) -> Path:
        path = tmp_path / "table.csv"
        frame.write_csv(path)
        return path

    return written
