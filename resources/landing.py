"""The landing zone: where files arrive from outside.

Belongs here: the Dagster resource that says where it is. Does not belong here: what a file holds (`sources.py`).
"""

import dagster as dg

from resources.objects import ObjectStore


class LandingZone(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """A local folder or an `s3://` prefix under which the sources deliver.

    Attributes:
        root: The folder or prefix.
    """

    root: str

    @property
    def store(self) -> ObjectStore:
        """The objects under `root`."""
        return ObjectStore(self.root)
