"""The landing zone: where files arrive from outside.

Belongs here: the Dagster resource that says where it is. Does not belong here: what a file holds (`sources.py`).
"""

from functools import cached_property

import dagster as dg

from resources.objects import ObjectStore


class LandingZone(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's generic has no default
    """A local folder or an `s3://` prefix under which the sources deliver.

    Attributes:
        root: The folder or prefix.
    """

    root: str

    @cached_property
    def store(self) -> ObjectStore:
        """The objects under `root`; the same for all who ask, since a client of S3 takes 0.2 s to make."""
        return ObjectStore(self.root)
