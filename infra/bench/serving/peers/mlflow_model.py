"""The trees as an MLflow model in a new folder, for `mlflow models serve`: `mlflow_model.py FOLDER`.

Belongs here: what runs in the bench's environment `mlflow`. Does not belong here: anything of this project.
"""

import os
import sys

import mlflow
from catboost import CatBoost

if __name__ == "__main__":
    # No signature: MLflow would check every row against it, and be slower by that.
    mlflow.catboost.save_model(CatBoost().load_model(os.environ["BENCH_MODEL"]), sys.argv[1])
