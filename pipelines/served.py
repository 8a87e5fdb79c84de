"""A use case as the server of its endpoint sees it: fields, versions, history.

Belongs here: a `UseCase` as the `ScoringService` the server asks for. Does not belong here: the process (`serve.py`),
HTTP and versions (`resources/serving`). Neither Dagster, nor MLflow, nor the lake is needed, or loaded, here.
"""

import importlib
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.contracts import PREDICTION_TIME, SourceTable, UseCase
from assets.logic.live_history import LiveHistory
from assets.logic.live_rows import NOT_OBSERVED, observed_key
from assets.trainers.base import Model
from assets.trainers.families import load_model
from pipelines import catalogue
from pipelines.histories import Histories
from resources.errors import EndpointError, ThroughlineError
from resources.serving.answers import problem
from resources.serving.service import Field, Recorded, Signature

LOG: Final = logging.getLogger(__name__)
PACKAGES: Final = ("assets", "pipelines", "resources")
WARM_ROWS: Final = 8
LENGTHS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}
"""Of partitions: of two in a row something should have been heard."""
TOLD_AHEAD: Final = timedelta(days=90)
"""How long before what it is about a record may be told, such as of a timetable, and still be known then."""


class UseCaseService:
    """A use case as the server sees it. See `resources.serving.service.ScoringService`."""

    def __init__(self, use_case: UseCase, files: Sequence[Path] = ()) -> None:
        """Take the declaration, and note the code as it is now; `files` are read by the code, and belong to it."""
        self.use_case, self.description, self.signature = use_case.name, use_case.description, signature(use_case)
        self.reach = use_case.lookback + TOLD_AHEAD
        self.stale_after = 2 * LENGTHS[use_case.partitions.every]
        self.tables: Mapping[str, tuple[Field, ...]] = {table.name: _fields(table) for table in use_case.tables}
        self._declared = use_case
        self._histories = Histories(use_case, self.tables)
        self._code = {path: _fingerprint(path) for path in (*_loaded_code(use_case), *files)}

    def code_is_current(self) -> bool:
        """Whether the files of the code that runs here are still what was loaded."""
        for path in _loaded_code(self._declared):
            self._code.setdefault(path, _fingerprint(path))  # a model family, loaded with its first model
        return all(_fingerprint(path) == known for path, known in self._code.copy().items())

    def load(self, model: Path, online: Path) -> "UseCaseScorer":
        """Load a saved model and the history it looks into."""
        return UseCaseScorer(
            self._declared, load_model(model), self._histories.of(online, lambda: self._tables(online))
        )

    def follow(self, recorded: Callable[[], Iterable[Recorded]]) -> None:
        """Say where a history that begins learns what was observed before."""
        self._histories.follow(recorded)

    def observe(self, recorded: Recorded) -> int:
        """Have all loaded histories know these records."""
        return self._histories.observe(recorded)

    def tidy(self) -> None:
        """Merge what came in into histories where it has become much."""
        self._histories.tidy()

    def history_as_of(self) -> datetime | None:
        """When the newest history last learnt of anything (UTC)."""
        return self._histories.as_of()

    def _tables(self, online: Path) -> dict[str, pl.DataFrame]:
        # Not mapped into memory: the files may be replaced while this process goes on with what it has read.
        found = {t.name: online / f"{t.name}.parquet" for t in self._declared.tables}
        tables = {name: pl.read_parquet(path, memory_map=False) for name, path in found.items() if path.is_file()}
        for table in self._declared.tables:
            if table.is_optional and table.name not in tables:
                LOG.warning("there is no snapshot of %s; what it tells is answered as missing", table.name)
                tables[table.name] = pl.DataFrame(schema={n: c.dtype for n, c in table.cleaned_columns.items()})
        return tables


class UseCaseScorer:
    """One model version with its history. See `resources.serving.service.Scorer`."""

    def __init__(self, use_case: UseCase, model: Model, history: LiveHistory) -> None:
        """Take what is loaded."""
        self.family, self.outputs = model.family, tuple(model.outputs)
        self._use_case, self._model, self._history = use_case, model, history

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Features as of the instant at which each row's question is asked, by the very function that training uses."""
        spine = rows.select(*self._use_case.inputs, self._use_case.asking.alias(PREDICTION_TIME))
        built = self._use_case.build_features(spine, self._history.history)
        return built.select(*self._use_case.feature_names, PREDICTION_TIME)

    def predict(self, features: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.float64]:
        """Scores, shape (n,) for one output, else (n, outputs)."""
        return self._model.predict_rows(features)

    def explain(self, features: pl.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Contributions, shape (n, n_features), and the raw score they are counted from, shape (width,)."""
        return self._model.explain(features), self._model.reference

    def warm_up(self) -> None:
        """Ask about the last known entities: every index of the history is then built, every library loaded.

        Raises:
            EndpointError: If there is no snapshot of the entities, or a score is none of the task's.
        """
        name = self._use_case.entity_table
        if (entities := self._history.history.tables.get(name)) is None:
            raise EndpointError(f"there is no snapshot of {name!r}, so the version cannot be tried before it goes live")
        if entities.is_empty():
            LOG.warning("there are no %s to warm up with; the first request will be slow", name)
            return
        rows = entities.sort(self._use_case.event_time).select(self._use_case.inputs).tail(WARM_ROWS)
        sparse = rows.with_columns(pl.lit(None, rows.schema[n]).alias(n) for n in self._use_case.optional_inputs)
        for probe in (rows, rows.tail(1), sparse.tail(1)):  # one row and many rows take different ways
            scores = self.predict(self.features(probe).select(self._use_case.feature_names).rows())
            if (why := problem(self._use_case.task, self.outputs, scores, len(probe))) is not None:
                raise EndpointError(f"asked about {len(probe)} known rows, the model gives no usable answer: {why}")


def signature(use_case: UseCase) -> Signature:
    """What a caller of this use case may send."""
    columns = use_case.table(use_case.entity_table).cleaned_columns
    inputs = (
        Field(
            name=name,
            dtype=columns[name].dtype,
            is_required=name not in use_case.optional_inputs,
            description=columns[name].description,
            unit=columns[name].unit,
            personal=columns[name].personal,
            range=columns[name].range,
        )
        for name in use_case.inputs
    )
    kinds: dict[str, pl.DataType] = {"numeric": pl.Float64(), "categorical": pl.String()}
    features = (
        Field(name=f.name, dtype=kinds[f.kind], is_required=False, description=f.description) for f in use_case.features
    )
    return Signature(inputs=tuple(inputs), features=tuple(features), task=use_case.task, entity=use_case.entity)


def _fields(table: SourceTable) -> tuple[Field, ...]:
    key = observed_key(table)
    return tuple(
        Field(
            name=name,
            dtype=column.dtype,
            # What becomes known later than its row is told when it is.
            is_required=name in key or (not column.nullable and column.known_at is None),
            description=column.description,
            unit=column.unit,
        )
        for name, column in table.cleaned_columns.items()
        if name not in NOT_OBSERVED
    )


def load_service(where: str) -> UseCaseService:
    """The use case that the catalogue knows by that name, or the one at `package.module:NAME`.

    Raises:
        EndpointError: If there is none.
    """
    if ":" not in where:
        try:
            return UseCaseService(catalogue.use_case(where), [catalogue.declaration(where)])
        except ThroughlineError as error:
            raise EndpointError(f"--use-case {where}: {error}; or write it as package.module:NAME") from error
    module, _, name = where.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        raise EndpointError(f"--use-case {where}: {error}") from error
    if not isinstance(found, UseCase):
        raise EndpointError(f"--use-case {where} does not name a UseCase; write it as package.module:NAME")
    return UseCaseService(found)


def _loaded_code(use_case: UseCase) -> set[Path]:
    """Files of the project's own modules that are loaded, and of those beside the use case's functions."""
    module = use_case.build_features.__module__
    own = (*PACKAGES, module.rpartition(".")[0] or module)
    # A copy: another thread may load modules meanwhile. And only after the name: a lazy module of a library would be
    # loaded by looking into it.
    modules = [f for name, f in sys.modules.copy().items() if any(f"{name}.".startswith(f"{o}.") for o in own)]
    return {Path(found.__file__) for found in modules if found.__file__} | {Path(__file__)}


def _fingerprint(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change: looked at with every request for metadata, so nothing is read."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns
