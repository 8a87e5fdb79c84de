"""`exploration_report`: what the cleaned tables look like, one click away in the UI.

Belongs here: which tables are explored and where the pages go. Does not belong here: how a page is made
(`assets/reports/exploration.py`).
"""

import base64

import dagster as dg
import polars as pl

from assets.code_version import code_version
from assets.contracts import SourceTable, UseCase
from assets.reports.exploration import Exploration, explore
from assets.stages.common import asset_facts, asset_key, table_name
from resources.lake import Lake
from resources.registry import MlflowModelRegistry
from resources.reports import Reports

EXPLORED_ROWS = 1_000_000
"""Of a larger table every second, third... row is described, which a picture does not show and memory does."""


def build_exploration_report(use_case: UseCase) -> dg.AssetsDefinition:
    """The asset that describes every cleaned table: distributions, missing values, Evidently's data summary."""
    key = asset_key(use_case, "exploration_report")

    @dg.asset(
        key=key,
        deps=[asset_key(use_case, f"cleaned_{t.name}") for t in use_case.tables],
        **asset_facts(use_case, "exploration", "evidently", "html"),
        description="Distributions, missing values and Evidently's data summary of every cleaned table.",
        code_version=code_version(__name__),
    )
    def exploration_report(
        context: dg.AssetExecutionContext, lake: Lake, registry: MlflowModelRegistry, reports: Reports
    ) -> dg.MaterializeResult[None]:
        metadata: dict[str, dg.MetadataValue] = {}
        with registry.run(use_case.name, "exploration", {"dagster.run_id": context.run.run_id}) as mlflow_run:
            for table in use_case.tables:
                found, uri = describe(use_case, table, lake, reports)
                # Dagster shows a file as a path, which a browser does not follow; MLflow shows the page.
                page = f"{table.name}.html"
                registry.log(mlflow_run, documents={page: found.html})
                metadata[table.name] = dg.MetadataValue.md(_shown(table.name, found))
                metadata[f"{table.name}/evidently"] = dg.MetadataValue.url(registry.document_url(mlflow_run, page))
                metadata[f"{table.name}/evidently_html"] = dg.MetadataValue.path(uri)
                context.log.info(f"{table.name}: {found.rows:,} rows described")
        return dg.MaterializeResult(metadata=metadata)

    return exploration_report


def describe(use_case: UseCase, table: SourceTable, lake: Lake, reports: Reports) -> tuple[Exploration, str]:
    """Describe one cleaned table, and keep Evidently's page of it; with the URI of that page."""
    scan = lake.scan(table_name(use_case, f"cleaned_{table.name}")).select(list(table.cleaned_columns))
    rows = int(scan.select(pl.len()).collect().item())
    frame = scan.gather_every(-(-rows // EXPLORED_ROWS) or 1).collect()
    found = explore(frame, table.cleaned_columns, of=rows)
    uris = reports.write(use_case.name, "exploration_report", table.name, {"html": found.html.encode()})
    return found, uris["html"]


def _shown(table: str, found: Exploration) -> str:
    image = base64.b64encode(found.histograms).decode()
    return f"{found.markdown}\n\n![distributions of {table}](data:image/png;base64,{image})"
