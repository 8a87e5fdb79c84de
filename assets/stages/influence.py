"""Rows whose outcome may follow from an answer of the endpoint: whether a training set may hold them.

Belongs here: carrying out `Target.influenced_by_answers`. Does not belong here: what else makes a training set
(`training_set.py`).

Somebody who acts on an answer changes what comes of it: who is called because they were said to leave, stays. A model
trained on that learns that such people stay. What a shadow said nobody heard, and a smoke test is in no log.
"""

from collections.abc import Mapping
from typing import Final

import orjson
import polars as pl

from assets.contracts import LABEL_KNOWN_AT, UseCase
from assets.stages.common import table_name
from assets.stages.parity_rows import typed_values
from resources.lake import Lake

LOG: Final = "prediction_log"
EXPLORATION: Final = "exploration"
"""Purpose of a request whose answers are acted on by chance, not by what they say: nothing follows from them."""
FIRST_ANSWER: Final = "__first_answer"


def logged_versions(use_case: UseCase, lake: Lake) -> dict[str, int | None]:
    """The version of the log that decides, by its name; none where answers change nothing, or nothing was logged."""
    if use_case.target.influenced_by_answers == "no":
        return {}
    return {LOG: lake.version(table_name(use_case, LOG))}


def needed_columns(use_case: UseCase) -> tuple[str, ...]:
    """Columns of the feature table that `influenced` looks at."""
    return () if use_case.target.influenced_by_answers == "no" else (*use_case.entity, LABEL_KNOWN_AT)


def influenced(use_case: UseCase, lake: Lake, rows: pl.DataFrame, versions: Mapping[str, int]) -> pl.Series | None:
    """Which labelled rows were answered before their label was known, shape (n,); None if none can have been.

    Args:
        use_case: The declaration.
        lake: Where the log is.
        rows: The label and `needed_columns`, shape (n, columns).
        versions: Of lake tables; without one of the log nothing was answered.
    """
    if LOG not in versions or use_case.target.influenced_by_answers == "no":
        return None
    answers = _first_answers(use_case, lake, versions[LOG])
    joined = rows.join(answers, on=use_case.entity, how="left", nulls_equal=True, maintain_order="left")
    # A label that nobody dated may have come after any answer.
    is_before = (pl.col(FIRST_ANSWER) < pl.col(LABEL_KNOWN_AT)).fill_null(True) & pl.col(FIRST_ANSWER).is_not_null()
    return joined.select(pl.col(use_case.target.name).is_not_null() & is_before).to_series()


def _first_answers(use_case: UseCase, lake: Lake, version: int) -> pl.DataFrame:
    """When each entity was answered first, of the answers that something may follow from."""
    is_heard = pl.col("mode") != "shadow"
    if use_case.target.influenced_by_answers == "explored":
        is_heard &= pl.col("purpose").ne_missing(EXPLORATION)
    log = lake.scan(table_name(use_case, LOG), version=version)
    found = log.filter(is_heard & pl.col("inputs").is_not_null()).select("inputs", "answered_at").collect()
    columns, said = use_case.table(use_case.entity_table).cleaned_columns, [orjson.loads(t) for t in found["inputs"]]
    entity = pl.DataFrame([typed_values(name, said, columns[name].dtype) for name in use_case.entity])
    answered = entity.with_columns(found["answered_at"].alias(FIRST_ANSWER))
    return answered.group_by(use_case.entity).agg(pl.col(FIRST_ANSWER).min())
