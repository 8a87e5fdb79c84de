"""A LitServe server with batching, as its documentation shows it: `litserve_app.py PORT`.

Belongs here: what runs in the bench's environment `litserve`. Does not belong here: anything of this project.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import litserve  # type: ignore[import-not-found]  # lives in its own environment
from catboost import CatBoost


class Orders(litserve.LitAPI):  # type: ignore[misc]
    """The trees, asked for as many rows as wait."""

    def setup(self, _: str) -> None:
        """Load the model in the worker."""
        self.model = CatBoost().load_model(os.environ["BENCH_MODEL"])
        self.names = self.model.feature_names_

    def decode_request(self, request: Mapping[str, Any]) -> list[Any]:
        """The values of one row."""
        return [request[name] for name in self.names]

    def predict(self, rows: list[list[Any]]) -> list[float]:
        """Probabilities that the orders come back."""
        scores: list[float] = self.model.predict(rows, prediction_type="Probability")[:, 1].tolist()
        return scores

    def unbatch(self, output: list[float]) -> list[float]:
        """One answer per row."""
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        """The answer."""
        return {"probability": output}


if __name__ == "__main__":
    server = litserve.LitServer(Orders(max_batch_size=16, batch_timeout=0.001), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)
