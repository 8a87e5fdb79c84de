"""Where the reports people read are kept.

Belongs here: naming and keeping of report files. Does not belong here: what stands in them (`assets/reports`).
"""

from collections.abc import Mapping

import dagster as dg

from resources.objects import ObjectStore


class Reports(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """Report files by use case and asset: each one under its own name, and the newest as `latest.*`.

    Attributes:
        root: A local folder or an `s3://` prefix.
        has_monitor_pages: Whether monitors draw their pages. What they find is kept in the lake in any case; a replay
            leaves the pages of its days out, as drawing takes ten times as long as judging.
    """

    root: str
    has_monitor_pages: bool = True

    def write(
        self, use_case: str, asset: str, name: str, files: Mapping[str, bytes], *, is_latest: bool = True
    ) -> dict[str, str]:
        """Keep `files` (by ending, such as `html`) as `<name>.<ending>`; returns their URIs.

        Unless they are of the past (`is_latest`), as after a backfill, they are kept as `latest.<ending>` as well.
        """
        store = ObjectStore(self.root)
        uris = {}
        for ending, data in files.items():
            path = f"{use_case}/{asset}/{name}.{ending}"
            store.write(path, data)
            if is_latest:
                store.write(f"{use_case}/{asset}/latest.{ending}", data)
            uris[ending] = store.uri(path)
        return uris
