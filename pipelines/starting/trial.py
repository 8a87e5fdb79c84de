"""One partition of a use case through raw, cleaned and features, in memory: does the declaration fit the data?

Belongs here: calling what the stages call, and saying what came out. Does not belong here: training and serving, and
Dagster; `throughline line` does both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from assets.checks.expectations import ExpectationResult, validate
from assets.contracts import UseCase
from assets.logic.intake import REASON
from assets.logic.point_in_time import History
from assets.stages.cleaned import Cleaned, clean_table
from assets.stages.features import feature_rows, find_leaks, look_back_days
from assets.stages.raw import take_in
from pipelines.declared.build import build_use_case
from pipelines.declared.origin import deliver_declared
from pipelines.declared.reading import read
from pipelines.declared.schema_tables import Source
from resources.errors import InputError
from resources.objects import ObjectStore


@dataclass(frozen=True, kw_only=True)
class TriedTable:
    """What became of one table in the partitions that were taken in."""

    name: str
    partitions: int
    landed: int
    cleaned: int
    rejected: Mapping[str, int]
    expectations: tuple[ExpectationResult, ...]

    @property
    def failed(self) -> list[ExpectationResult]:
        """Expectations that are not met."""
        return [e for e in self.expectations if not e.passed]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came out.

    Attributes:
        partition: The one that features were made of.
        rows: Its feature rows, with inputs, label and clocks.
        leaks: Features that change when the future is cut off.
        empty: Features without a value in any row.
    """

    partition: str
    tables: tuple[TriedTable, ...]
    rows: pl.DataFrame
    features: int
    labelled: int
    leaks: tuple[str, ...]
    empty: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """What would stop the line."""
        found = [f"every row of {t.name} is rejected" for t in self.tables if t.landed and not t.cleaned]
        found += [
            f"{t.name}: {e.check} is not met ({e.why})"
            for t in self.tables
            for e in t.failed
            if e.severity == "critical"
        ]
        return found + [f"feature {name} knows the future" for name in self.leaks]


def try_partition(use_case: UseCase, landing: ObjectStore) -> Trial:
    """Take in what the last whole partition needs, clean it, and make its features.

    Raises:
        InputError: If nothing has landed, or a file is not as declared.
    """
    entity = use_case.table(use_case.entity_table)
    landed = sorted(str(key) for key in entity.source.arrivals(landing) if key is not None)
    landed = [key for key in landed if key <= use_case.partitions.key(date.today())]  # noqa: DTZ011 - later ones wait
    if not landed:
        raise InputError(f"{use_case.name}: nothing has landed under {landing.root} for {entity.source}")
    # The last partition may still be filling.
    chosen = landed[-2] if len(landed) > 1 else landed[-1]
    first = use_case.partitions.before(chosen, look_back_days(use_case))
    tried: list[TriedTable] = []
    frames: dict[str, pl.DataFrame] = {}
    for table in use_case.tables:
        there = sorted(str(k) for k in table.source.arrivals(landing) if k is not None and first <= k <= chosen)
        keys = there if table.is_partitioned else None
        raw = take_in(table, landing, keys).rows
        lookups = {name: frames[name].lazy() for name in table.lookups}
        cleaned = clean_table(table, raw, lookups)
        frames[table.name] = cleaned.rows
        tried.append(
            TriedTable(
                name=table.name,
                partitions=len(keys or [""]),
                landed=len(raw),
                cleaned=len(cleaned.rows),
                rejected=_reasons(cleaned),
                expectations=tuple(validate(cleaned.rows, table.expectations)),
            )
        )
    return _features(use_case, History(frames, use_case.clocks), chosen, tried)


def _features(use_case: UseCase, history: History, chosen: str, tried: list[TriedTable]) -> Trial:
    rows = feature_rows(use_case, history, [chosen])
    leaks = sorted({leak["feature"] for leak in find_leaks(use_case, rows, history)}) if len(rows) else []
    return Trial(
        partition=chosen,
        tables=tuple(tried),
        rows=rows,
        features=len(use_case.features),
        labelled=rows[use_case.target.name].count(),
        leaks=tuple(leaks),
        empty=tuple(n for n in use_case.feature_names if rows[n].null_count() == len(rows)),
    )


def try_sample(declaration: Path, sample: Path, folder: Path) -> Trial:
    """A declaration on rows in a CSV file of its own (UTF-8, commas), which stands in for its source.

    Further tables are delivered from where they are declared.

    Args:
        declaration: `use_case.yaml`.
        sample: Rows with the columns of the source.
        folder: An empty folder for what lands.

    Raises:
        DeclaredError: If the declaration cannot work.
        InputError: If the sample is not as declared.
    """
    reading = read(declaration)
    declared = reading.declaration.model_copy(update={"source": Source(uri=str(sample.resolve()))})
    landing, name = ObjectStore(str(folder)), declaration.parent.name
    use_case = build_use_case(name, reading.with_declaration(declared))
    deliver_declared(name, declared, declaration.parent, landing, lambda _: None)
    return try_partition(use_case, landing)


def told(trial: Trial) -> Iterator[str]:
    """What came out, as a short table."""
    for table in trial.tables:
        yield f"raw_{table.name:<20} {table.landed:>9,} rows in {table.partitions} partition(s)"
        yield f"cleaned_{table.name:<16} {table.cleaned:>9,} rows"
        yield f"quarantined_{table.name:<12} {sum(table.rejected.values()):>9,} rows"
        yield from (f"  {reason:<26} {count:>7,}" for reason, count in table.rejected.items())
        if table.expectations:
            met = len(table.expectations) - len(table.failed)
            yield f"{'expectations':<24} {met:>9,} of {len(table.expectations)} met"
        yield from (f"  {e.check} ({e.severity}): {e.why}" for e in table.failed)
    yield f"{'features':<24} {len(trial.rows):>9,} rows x {trial.features} features of {trial.partition}"
    yield f"{'labels':<24} {trial.labelled:>9,} known"
    if trial.empty:
        yield f"  without a value: {', '.join(trial.empty[:8])}"
    yield f"{'leaks':<24} {', '.join(trial.leaks) or 'none: features do not know the future'}"


def _reasons(cleaned: Cleaned) -> dict[str, int]:
    counted = cleaned.rejected[REASON].value_counts(sort=True)
    return {str(reason): int(count) for reason, count in counted.rows()}
