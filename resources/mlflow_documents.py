"""How documents of a run are read back, in MLflow's own terms.

Belongs here: reading. Does not belong here: how they got there (`mlflow_runs.py`).
"""

import tempfile
from pathlib import Path

from resources.mlflow_store import Store


def document_of(store: Store, run_id: str, path: str) -> str | None:
    """The text of a document of a run, None if the run has no such document."""
    data = file_of(store, run_id, path)
    return None if data is None else data.decode()


def file_of(store: Store, run_id: str, path: str) -> bytes | None:
    """The bytes of a file of a run, None if the run has no such file."""
    folder = path.rpartition("/")[0] or None
    there = store.do(f"look for {path} of run {run_id}", lambda c: [f.path for f in c.list_artifacts(run_id, folder)])
    if path not in there:
        return None
    with tempfile.TemporaryDirectory() as room:
        found = store.do(f"read {path} of run {run_id}", lambda c: c.download_artifacts(run_id, path, room))
        return Path(found).read_bytes()
