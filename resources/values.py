"""How small values (a manifest, an exact model version, a decision) travel from one asset to the next.

Belongs here: the IO manager that keeps them as JSON, one whole file per asset.
Does not belong here: tables (`lake.py`) and models (`registry.py`); an asset never hands those on by value.
"""

from typing import Any

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from resources.objects import ObjectStore


class JsonValues(dg.ConfigurableIOManager):
    """Keeps each asset's value as `<root>/<asset key>.json`, written whole or not at all. No pickle.

    The type of the value is the annotation of the asset that asks for it: a frozen dataclass, or a plain container.

    Attributes:
        root: A local folder or an `s3://` prefix.
    """

    root: str

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the value, or nothing for an asset that returned none."""
        if obj is None:
            return
        data = TypeAdapter(type(obj)).dump_json(obj, indent=2)
        path = self._path(context.asset_key)
        ObjectStore(self.root).write(path, data)
        context.add_output_metadata({"value/uri": ObjectStore(self.root).uri(path)})

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the value back as the type its reader asks for.

        Raises:
            dagster.Failure: If the upstream asset was never materialised, or its value has another shape; trying again
                does not mend it.
        """
        store, path = ObjectStore(self.root), self._path(context.asset_key)
        if not store.exists(path):
            key = context.asset_key.to_user_string()
            raise dg.Failure(f"{key} has no value at {store.uri(path)}; materialise {key} first", allow_retries=False)
        try:
            return TypeAdapter(context.dagster_type.typing_type).validate_json(store.read(path))
        except ValidationError as error:
            raise dg.Failure(
                f"{store.uri(path)} does not hold a {context.dagster_type.typing_type}; materialise "
                f"{context.asset_key.to_user_string()} again with today's code ({error.error_count()} fields differ)",
                allow_retries=False,
            ) from error

    def _path(self, key: dg.AssetKey) -> str:
        return "/".join(key.path) + ".json"
