"""Upkeep of reports: old pages go, their figures and the newest page stay.

Belongs here: which files of `reports.py` are old. Does not belong here: how long they are kept
(`pipelines/maintenance.py`).
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from resources.objects import ObjectStore, StoredObject
from resources.reports import Reports

DATED_PAGE: Final = re.compile(r"\d{4}-\d{2}-\d{2}.*\.html")
"""Name of a page that tells of one moment. Others, such as `latest.html` and one per table, are always the newest."""


def pages_before(reports: Reports, use_case: str, before: datetime) -> tuple[list[StoredObject], int]:
    """The dated pages of a use case last written before an instant (UTC), and how many stay."""
    found = ObjectStore(reports.root).list(f"{use_case}/")
    dated = [page for page in found if DATED_PAGE.fullmatch(page.path.rpartition("/")[2])]
    old = [page for page in dated if page.modified_at < before]
    return old, len(dated) - len(old)


def remove_pages(reports: Reports, pages: Sequence[StoredObject]) -> None:
    """Take pages away."""
    store = ObjectStore(reports.root)
    for page in pages:
        store.delete(page.path)
