"""The line's tables, training rows and models in a notebook, one line each, from any folder of the clone.

Belongs here: reading what the line made, and trying a model family on what the line would train on.
Does not belong here: making or changing anything; that is the line's.

    from pipelines.notebook import assets_of, load, model, training_data, try_family
"""

from typing import TYPE_CHECKING, Final

import polars as pl

from assets.contracts import PARTITION_KEY
from assets.trainers.base import Model
from pipelines import catalogue
from pipelines.notebook_stores import NotebookError, frozen_manifest, loaded, resources_here, version_of
from pipelines.notebook_trials import Prepared, Trial, try_family

if TYPE_CHECKING:
    from resources.lake import Lake
    from resources.registry import MlflowModelRegistry

__all__ = ["NotebookError", "Prepared", "Trial", "assets_of", "load", "model", "training_data", "try_family"]

TABLE: Final = "deltalake"
"""The kind of assets that keep a table."""


def assets_of(use_case: str) -> pl.DataFrame:
    """The assets of a use case that are tables, as far as they have been made.

    Returns:
        Columns `asset`, `version` (the current one; every number from 0 can be loaded), `partitions` (how many; null
        for a table without), `first` and `last` partition; by name.

    Raises:
        CatalogueError: If there is no such use case, naming the nearest.
        LakeError: If the lake cannot be read.
    """
    lake: Lake = resources_here()["lake"]
    rows = []
    for name, is_partitioned in _tables(use_case).items():
        if (version := lake.version(f"{use_case}/{name}")) is not None:
            keys = sorted(lake.partitions(f"{use_case}/{name}")) if is_partitioned else None
            first, last = (keys[0], keys[-1]) if keys else (None, None)
            rows.append((name, version, None if keys is None else len(keys), first, last))
    schema = {"asset": pl.String, "version": pl.Int64, "partitions": pl.Int64, "first": pl.String, "last": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def load(
    use_case: str, asset: str, *, partition: str | tuple[str, str] | None = None, version: int | None = None
) -> pl.DataFrame:
    """The rows of an asset that is a table, by partition where it has any.

    Args:
        use_case: Its name.
        asset: Such as `features` or `cleaned_<table>`; `assets_of` lists them.
        partition: One key such as `2013-08-31`, or the first and the last of several; None for all.
        version: Of the table; None for the current one.

    Raises:
        CatalogueError: If there is no such use case, naming the nearest.
        NotebookError: If there is no such asset, version or partition, naming those that there are.
        LakeError: If the lake cannot be read.
    """
    tables = _tables(use_case)
    lake: Lake = resources_here()["lake"]
    table = f"{use_case}/{asset}"
    current = lake.version(table) if asset in tables else None
    if current is None:
        raise NotebookError(f"{use_case} has no table {asset!r}; there are {assets_of(use_case)['asset'].to_list()}")
    if version is not None and not 0 <= version <= current:
        raise NotebookError(f"{table} has no version {version}; there are 0 to {current}")
    rows = lake.scan(table, version=version)
    if not tables[asset]:
        if partition is not None:
            raise NotebookError(f"{table} has no partitions; leave out partition={partition!r}")
        return rows.collect()
    if partition is None:
        return rows.collect().sort(PARTITION_KEY, maintain_order=True)
    first, last = (partition, partition) if isinstance(partition, str) else partition
    found = rows.filter(pl.col(PARTITION_KEY).is_between(pl.lit(first), pl.lit(last))).collect()
    if found.is_empty():
        raise NotebookError(f"{table} holds nothing from {first} to {last}; {_span(rows)}")
    return found.sort(PARTITION_KEY, maintain_order=True)


def model(use_case: str, version: int | None = None) -> Model:
    """A registered model, ready to `predict` and `explain` Polars rows of features.

    Args:
        use_case: Its name.
        version: Its number in the registry; None for the champion.

    Raises:
        CatalogueError: If there is no such use case, naming the nearest.
        NotebookError: If there is no such version, naming those that there are, or no champion yet.
    """
    catalogue.declaration(use_case)
    registry: MlflowModelRegistry = resources_here()["registry"]
    found = registry.champion(use_case) if version is None else version_of(registry, use_case, version)
    if found is None:
        raise NotebookError(f"{use_case} has no champion yet; run `throughline line {use_case}`, or name a version")
    return loaded(registry, found)


def training_data(use_case: str) -> Prepared:
    """The rows that the line's last training set froze; if it has none yet, those that it would freeze now.

    Raises:
        CatalogueError: If there is no such use case, naming the nearest.
        NotebookError: If the declared features are no longer those of the last training set.
        SplitError: If there is no training set and too few days are known for one.
        LakeError: If the lake cannot be read.
    """
    from assets.stages import training_set

    declared = catalogue.use_case(use_case)
    here = resources_here()
    lake: Lake = here["lake"]
    manifest = frozen_manifest(use_case) or training_set.make_manifest(declared, lake, here["clock"].now())
    if manifest.features != tuple(declared.feature_names):
        raise NotebookError(
            f"the last training set of {use_case} has other features than are declared now; run "
            f"`throughline line {use_case}` first"
        )
    return Prepared(
        use_case=declared,
        training=training_set.training_data(declared, lake, manifest),
        test=training_set.as_rows(
            declared, training_set.labelled_rows(declared, lake, manifest, "test"), manifest.classes
        ),
        manifest=manifest,
    )


def _tables(use_case: str) -> dict[str, bool]:
    """Whether it has partitions, of each asset of a use case that may be a table, by name."""
    from assets.stages.champion import LEDGER

    specs = catalogue.definitions(use_case).resolve_all_asset_specs()
    tables = {s.key.path[-1]: s.partitions_def is not None for s in specs if TABLE in s.kinds}
    return dict(sorted({**tables, LEDGER: False}.items()))


def _span(rows: pl.LazyFrame) -> str:
    first, last = rows.select(pl.col(PARTITION_KEY).min(), last=pl.col(PARTITION_KEY).max()).collect().row(0)
    return "it is empty" if first is None else f"it holds {first} to {last}"
