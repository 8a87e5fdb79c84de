"""All use cases of this project as one code location, for `dg`; `workspace.yaml` has one location for each instead.

Belongs here: nothing but that. `[tool.dg.project]` names it as `code_location_target_module`.
"""

import dagster as dg

from pipelines import catalogue
from pipelines.assembly import build_definitions
from resources.environments import resources_for
from resources.settings import Settings

_RESOURCES = resources_for(Settings())
"""One set for all: definitions merge only if what they share is the same object."""

defs = dg.Definitions.merge(*(build_definitions(catalogue.use_case(name), _RESOURCES) for name in catalogue.names()))
