"""A use case as a YAML file declares it: every field, with its meaning for editors and its default.

Belongs here: fields, and what one part can contradict in itself. Does not belong here: what is made of them
(`build.py`); the parts of tables, features, rollout and automation (`schema_tables.py`, `schema_features.py`,
`schema_rollout.py`, `schema_automation.py`).
"""

from datetime import date, timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from assets.partitions import Period
from assets.policies import Influence, Task
from pipelines.declared.schema_automation import Automation
from pipelines.declared.schema_features import Features
from pipelines.declared.schema_rollout import Rollout
from pipelines.declared.schema_tables import Column, FurtherTable, Source, Time, Value
from pipelines.declared.words import Declared, Length, Owner


class Target(Declared):
    """What is predicted."""

    column: str
    """The column with the outcome; empty while it is not known."""
    task: Task
    """`binary`: a probability. `multiclass`: one per class. `regression`: a quantity. `count`: whole, from 0."""
    positive: Value | None = None
    """Of a binary target: the value that counts as 1; every other value counts as 0. By default 1, true, yes..."""
    definition: str | None = None
    """What the outcome means, for people."""
    known_after: Length | None = None
    """The outcome is known so long after the time of the row; 0h if nothing is said."""
    known_at: str | None = None
    """The time column that says when the outcome was known."""
    delay_at_most: Length = Field(default=timedelta(days=30))
    """With known_at: an outcome that came later than this after the time of the row does not count as history."""
    influenced_by_answers: Influence = "no"
    """Whether answers of the endpoint change outcomes. If so, training leaves answered rows out (`exclude`), or keeps
    those of them that were asked for the purpose `exploration` (`explored`)."""

    @model_validator(mode="after")
    def _fits(self) -> "Target":
        if self.known_after is not None and self.known_at is not None:
            raise ValueError("known_after and known_at exclude one another")
        if self.positive is not None and self.task != "binary":
            raise ValueError(f"positive is for a binary target, and the task is {self.task}")
        return self


class Lead(Declared):
    """A number per row: how long before its time the question is asked."""

    column: str
    """The input with the number."""
    unit: Literal["days", "hours", "minutes"] = "days"
    """What it counts."""


class Predict(Declared):
    """When the question is asked: one of ahead, lead and at."""

    ahead: Length | None = None
    """So long before the time of the row."""
    lead: Lead | None = None
    """As long before as a column says."""
    at: str | None = None
    """At the time that a column holds."""
    longest: Length | None = None
    """With lead or at: the longest time between question and event; rows with a longer one go to quarantine."""

    @model_validator(mode="after")
    def _one_form(self) -> "Predict":
        given = [name for name in ("ahead", "lead", "at") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of ahead, lead, at; got {', '.join(given) or 'none'}")
        if (self.longest is None) != (self.ahead is not None):
            raise ValueError("longest goes with lead and at, which need it, and not with ahead")
        return self


class Partitions(Declared):
    """How rows are cut into partitions, each of which is taken in by itself."""

    every: Period = "day"
    """day, week (from Monday) or month."""
    start: date = Field(default=date(2000, 1, 1))
    """First day of the first partition; earlier rows go to quarantine."""
    end: date | None = None
    """Last day; without it there is none."""


class Split(Declared):
    """The last days with outcomes are the test, those before them validation, the rest training."""

    validation: Length = Field(default=timedelta(days=30))
    """How long validation is, at least 2d."""
    test: Length = Field(default=timedelta(days=30))
    """How long the test is, at least 2d."""
    gap: Length | None = None
    """Left out before the test; by default as long as outcomes are under way."""


class Trainer(Declared):
    """One model family to train."""

    family: str
    """logistic_regression, ridge, catboost, neural_network, or package.module:function."""
    search_trials: int = Field(default=4, ge=0)
    """How many settings are tried; 0: the defaults, without a search."""
    training_rows: int = Field(default=1_000_000, ge=100)
    """Training rows at most."""
    parameters: dict[str, float | int | str] = Field(default={})
    """Fixed, and not searched."""


class Promotion(Declared):
    """What a model must show before it goes live; see PromotionPolicy."""

    margin: float | None = Field(default=None, gt=0)
    """How much worse than the champion is still accepted."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Confidence of every interval used for a decision."""
    leakage_ceiling: float | None = Field(default=None, gt=0, lt=1)
    """A better score means that the outcome leaked into the features."""
    calibration_limit: float | None = Field(default=None, gt=0, lt=1)
    """Largest accepted calibration error."""
    slice_margin: float | None = Field(default=None, gt=0)
    """How much worse than a constant any slice may be."""
    slice_rows: int = Field(default=300, ge=1)
    """Slices with fewer test rows are not judged."""
    minimum_rows: int = Field(default=1_000, ge=1)
    """Fewer labelled test rows decide nothing."""


class Expectation(Declared):
    """One Great Expectations expectation on the cleaned table, shown as a check."""

    check: str = Field(pattern=r"^[A-Za-z0-9_]+$")
    """Name of the check, a sentence that is true when it passes."""
    type: str = Field(pattern=r"^expect_\w+$")
    """Great Expectations' own name, such as expect_column_values_to_be_between."""
    arguments: dict[str, Any] = Field(default={})
    """Its keyword arguments."""
    severity: Literal["critical", "warning"] = "critical"
    """`critical` stops what comes after, `warning` is shown."""


class UseCaseDeclaration(Declared):
    """A use case: what to predict, from which table, and what is good enough."""

    name: str | None = None
    """The name of the folder; may be left out."""
    description: str | None = None
    """What is predicted and for whom."""
    owner: Owner = "team:data"
    """Who answers for it: team:name or an address."""
    table: str = Field(default="rows", pattern=r"^[a-z][a-z0-9_]*$")
    """What the table is called in the line: raw_<table>, cleaned_<table>."""
    source: Source
    """Where the rows come from."""
    time: Time
    """The time a row is about."""
    partitions: Partitions = Partitions()
    """How rows are cut into partitions."""
    key: tuple[str, ...] = ()
    """Columns that identify a row. Without them rows may repeat and are never taken for copies."""
    target: Target
    """The outcome, and when it is known."""
    predict: Predict = Predict(ahead=timedelta(0))
    """When the question is asked."""
    columns: dict[str, Column] = Field(default={})
    """The columns to take in, beside time and target."""
    null_texts: tuple[str, ...] = ("", "NA", "N/A", "NULL", "NaN", "None", "-", "?")
    """Texts that stand for no value, in any case of letters."""
    available_after: Length = Field(default=timedelta(0))
    """How long after it is known an outcome reaches us."""
    tables: dict[str, FurtherTable] = Field(default={})
    """Further tables, for features."""
    features: Features | None = None
    """Features without code; if they are not said, a choice by the columns."""
    baselines: dict[str, str] = Field(default={})
    """Naive predictions by name, each a feature that is a prediction as it stands, such as the value a week ago."""
    baseline_by: tuple[str, ...] = ()
    """Columns whose groups have a rate (or mean) of their own in the naive baseline."""
    split: Split = Split()
    """How rows are split by time."""
    trainers: tuple[Trainer, ...] | None = None
    """Model families; if they are not said, a linear one and CatBoost."""
    promotion: Promotion = Promotion()
    """What is good enough."""
    slices: tuple[str, ...] = ()
    """Columns by which scores are reported and guarded."""
    expectations: tuple[Expectation, ...] = ()
    """Data quality of the cleaned table."""
    rollout: Rollout = Rollout()
    """How a new champion takes over at the endpoint."""
    automation: Automation = Automation()
    """What is watched, and what starts a retraining."""
