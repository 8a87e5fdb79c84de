"""A declared use case as a Dagster component, so that `dg` lists, checks and scaffolds it.

Belongs here: the component and its scaffold. Does not belong here: what a declaration means (`build.py`), and a guided
start that looks at the data (`pipelines/starting`).
"""

from pathlib import Path
from typing import Any, Final

import dagster as dg
from pydantic import BaseModel, Field

from assets.policies import Task
from pipelines.declared.build import load_use_case

FILE: Final = "use_case.yaml"


class UseCaseParams(BaseModel):
    """What a new declaration needs to know."""

    source: str = Field(description="A file, folder or address with the table.")
    target: str = Field(description="Column to predict.")
    time: str = Field(description="Column with the time of a row.")
    task: Task = Field(default="binary", description="binary, multiclass, regression or count.")


class UseCaseScaffolder(dg.Scaffolder[UseCaseParams]):
    """Writes the smallest declaration that works beside the component's own file."""

    @classmethod
    def get_scaffold_params(cls) -> type[UseCaseParams]:
        """What `dg scaffold defs` asks for."""
        return UseCaseParams

    def scaffold(self, request: dg.ScaffoldRequest[UseCaseParams]) -> None:
        """Write `defs.yaml` and `use_case.yaml`; columns are for a person to name, or for `throughline new` to find."""
        import yaml

        dg.scaffold_component(request, {"declaration": FILE})
        told: dict[str, Any] = {
            "source": {"uri": request.params.source},
            "time": {"column": request.params.time},
            "target": {"column": request.params.target, "task": request.params.task},
        }
        Path(request.target_path, FILE).write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


@dg.scaffold_with(UseCaseScaffolder)
class UseCaseComponent(dg.Component, dg.Model, dg.Resolvable):
    """A model line from one YAML file: from where its data lands to a live endpoint.

    Its name is that of the folder. The process of its endpoint looks it up in `pipelines/`, by that name.
    """

    declaration: str = Field(default=FILE, description="The file that declares the use case, beside this one.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything Dagster needs to know of the use case.

        Raises:
            DeclaredError: If the declaration cannot work; one line per mistake with file, line and field.
        """
        from pipelines.assembly import build_definitions

        return build_definitions(load_use_case(context.path / self.declaration))
