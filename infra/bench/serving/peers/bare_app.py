"""A bare FastAPI app that only predicts one row, as one would write it in an afternoon.

Belongs here: what runs in the bench's environment `bare`. Does not belong here: anything of this project.
"""

import os
from typing import Any

from catboost import CatBoost
from fastapi import FastAPI
from pydantic import BaseModel, create_model

model = CatBoost().load_model(os.environ["BENCH_MODEL"])
categorical = set(model.get_cat_feature_indices())
fields: dict[str, Any] = {
    name: (str if place in categorical else float, ...) for place, name in enumerate(model.feature_names_)
}
Row: type[BaseModel] = create_model("Row", **fields)
app = FastAPI()


# Not in a thread, which costs more than it saves when one row is all there is.
@app.post("/predict")
async def predict(row: Row) -> dict[str, float]:  # type: ignore[valid-type]  # made from the model's own columns
    """Probability that the order comes back."""
    values = [*row.model_dump().values()]  # type: ignore[attr-defined]
    return {"probability": float(model.predict([values], prediction_type="Probability")[0, 1])}
