"""What the server needs of whatever it serves: fields, a way to load a version, and that version's scores.

Belongs here: the interface between the server and the code of one use case. Does not belong here: any form of it (the
process's main assembles that), and how fields travel in a request (`protocol.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from resources.serving.ranges import Range

Task = Literal["binary", "multiclass", "regression", "count"]
"""What kind of thing is answered: a probability, one probability per class, a quantity, or a whole number from 0."""
PREDICTION_TIME = "prediction_time"
"""Column that a service adds to input rows: the UTC instant as of which history is looked at."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value a caller may send.

    Attributes:
        dtype: The Polars type a row gets; times are `Datetime("us", "UTC")`.
        is_required: Must be there and not null.
        personal: What becomes of a value before it is logged, where it is personal data; see `privacy.py`.
        range: Which values are usual, if that is declared.
    """

    name: str
    dtype: pl.DataType
    is_required: bool
    description: str
    unit: str | None = None
    personal: Literal["hash", "drop"] | None = None
    range: Range | None = None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What is asked with, rows of inputs or rows of features, and what kind of answer each row gets (`answers.py`).

    Attributes:
        entity: Of the inputs, those that say what a row is about: the same ones meet the same version. Empty: all do.
    """

    inputs: tuple[Field, ...]
    features: tuple[Field, ...]
    task: Task = "binary"
    entity: tuple[str, ...] = ()

    @property
    def optional_inputs(self) -> list[str]:
        """Names of the inputs a caller may leave out."""
        return [f.name for f in self.inputs if not f.is_required]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Records that were observed together.

    Attributes:
        at: When they were taken (UTC).
        records: By table; the values of each in the order of the table's fields.
    """

    at: datetime
    records: Mapping[str, Sequence[tuple[Any, ...]]]


class Scorer(Protocol):
    """One loaded model version with the history it looks into. Asked by many threads at once.

    Attributes:
        outputs: What `predict` gives, by column. Binary: `probability`. Multiclass: the classes. Regression and count:
            `prediction`, `lower`, `upper`.
    """

    family: str
    outputs: tuple[str, ...]

    def features(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Features of input rows.

        Args:
            rows: Exactly the input fields, shape (n, n_inputs), optional ones null where unknown.

        Returns:
            The feature fields and `prediction_time`, shape (n, n_features + 1), same rows, same order.
        """
        ...

    def predict(self, features: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.float64]:
        """Scores of feature rows, each with exactly the feature fields: shape (n,) for one output, else (n, outputs).

        Plain values, None where missing: for a few rows a data frame costs more than most models.
        """
        ...

    def explain(self, features: pl.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What each feature contributes to the score of each row, before calibration.

        Args:
            features: Exactly the feature fields, shape (n, n_features).

        Returns:
            Contributions, shape (n, n_features), in the declared order, and the raw score they are counted from, shape
            (width,). In the unit of the raw score: log odds for a binary task.
        """
        ...

    def warm_up(self) -> None:
        """Do once what the first request would otherwise wait for.

        Raises:
            Exception: Whatever a request would meet; the version then does not go live.
        """
        ...


class ScoringService(Protocol):
    """One use case as the server sees it.

    Attributes:
        use_case: Its name, which is the model's name in the protocol.
        description: What it predicts, for a person.
        signature: What it is asked with.
        tables: Fields of the records that may be observed, by table.
        reach: How long after it was observed a record may still matter to a question.
        stale_after: How long a history may have learnt of nothing before answers say so.
    """

    use_case: str
    description: str
    signature: Signature
    tables: Mapping[str, tuple[Field, ...]]
    reach: timedelta
    stale_after: timedelta

    def code_is_current(self) -> bool:
        """False once the files of the running code have changed: features might differ from those of the training."""
        ...

    def load(self, model: Path, online: Path) -> Scorer:
        """Load a model version beside whatever else is loaded; its history holds what was observed so far.

        Args:
            model: Folder with the saved model.
            online: Folder with one Parquet file per table.
        """
        ...

    def follow(self, recorded: Callable[[], Iterable[Recorded]]) -> None:
        """Say where a history that begins learns what was observed before; called once, before anything is loaded."""
        ...

    def observe(self, recorded: Recorded) -> int:
        """Have all loaded histories know these records; returns how many were news to the newest of them.

        Safe from many threads; the same records again, and in any order, change nothing.
        """
        ...

    def tidy(self) -> None:
        """Do what keeps histories quick; called several times a second, in a thread that answers nobody."""
        ...

    def history_as_of(self) -> datetime | None:
        """When the newest history last learnt of anything (UTC); None if none is loaded."""
        ...


def names(fields: Sequence[Field]) -> list[str]:
    """Names of fields in their order."""
    return [f.name for f in fields]
