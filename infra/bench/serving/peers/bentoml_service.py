"""A BentoML service with adaptive batching, as its documentation shows it.

Belongs here: what runs in the bench's environment `bentoml`. Does not belong here: anything of this project.
"""

import os
from typing import Any

import bentoml  # type: ignore[import-not-found]  # lives in its own environment
from catboost import CatBoost


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Orders:
    """The trees behind one batchable API."""

    def __init__(self) -> None:
        self.model = CatBoost().load_model(os.environ["BENCH_MODEL"])
        self.names = self.model.feature_names_

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=64, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Probabilities that the orders come back."""
        values = [[row[name] for name in self.names] for row in rows]
        scores: list[float] = self.model.predict(values, prediction_type="Probability")[:, 1].tolist()
        return scores
