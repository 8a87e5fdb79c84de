"""Families as a notebook brings them: functions that return unfitted scikit-learn estimators."""

from typing import Any

from assets.policies import Task


def forest(task: Task, seed: int) -> Any:
    """Takes missing numbers; its probabilities reach 0 and 1."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if task in ("binary", "multiclass") else RandomForestRegressor
    return kind(n_estimators=40, max_depth=7, random_state=seed % 2**32, n_jobs=1)


def scaled(task: Task, seed: int) -> Any:
    """A pipeline that takes no missing numbers, and a classifier without probabilities."""
    from sklearn.linear_model import LinearRegression, PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    last = {"regression": LinearRegression, "count": PoissonRegressor}.get(task, LinearSVC)
    return make_pipeline(StandardScaler(), last())


def with_a_function(task: Task, seed: int) -> Any:
    """Holds a function of its own, which nothing may load again."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(_doubled), forest(task, seed))


def _doubled(values: Any) -> Any:
    return values * 2


def nothing(task: Task, seed: int) -> Any:
    """Not an estimator."""
    return "a forest"
