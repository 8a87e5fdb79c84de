"""The Dagster instance of the laptop form, in a folder of a test."""

from pathlib import Path

POOLED = ("resources.event_log", "PooledSqliteEventLogStorage")


def write_instance_file(folder: Path, storage: tuple[str, str] = POOLED) -> None:
    """A `dagster.yaml` with an event log storage, given as module and class."""
    module, name = storage
    text = f"""
event_log_storage:
  module: {module}
  class: {name}
  config:
    base_dir: {folder}
telemetry:
  enabled: false
"""
    (folder / "dagster.yaml").write_text(text, encoding="utf-8")
