"""All that a use case may declare, as frozen values that refuse nonsense when they are made.

Belongs here: the vocabulary between a use case and the line, and the checks that need nothing but the declaration.
Does not belong here: how a declaration is carried out; that is `assets/stages`, `assets/checks` and `assets/trainers`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

import polars as pl

from assets.automation import Automation
from assets.automation_fit import LABEL_GROUP, PREDICTION_GROUP, contradictions
from assets.logic.point_in_time import Clock, History
from assets.partitions import Partitions
from assets.policies import (
    DeclarationError,
    Influence,
    PromotionPolicy,
    RolloutPolicy,
    Task,
    TimeSplit,
    TrainerSpec,
    require_known,
)
from assets.tables import Clean, Column, Expectation, Rule, Severity, SourceTable
from assets.trainers.names import check_family, family_name

__all__ = [
    "LABEL_KNOWN_AT",
    "LABEL_TYPES",
    "PARTITION_KEY",
    "PREDICTION_TIME",
    "BuildFeatures",
    "Clean",
    "Column",
    "Expectation",
    "Feature",
    "FeatureKind",
    "Partitions",
    "Rule",
    "Severity",
    "SourceTable",
    "Target",
    "Task",
    "UseCase",
]

FeatureKind = Literal["numeric", "categorical"]
BuildFeatures = Callable[[pl.DataFrame, History], pl.DataFrame]

PARTITION_KEY = "partition_key"
"""Column of every partitioned lake table: the Dagster partition key, text such as `2013-08-31`."""
PREDICTION_TIME = "prediction_time"
"""Column of every feature row: the UTC instant P at which the question is asked."""
LABEL_KNOWN_AT = "label_known_at"
"""Column of every feature row: the UTC instant at which the label can be known, null while it cannot."""
LABEL_TYPES: Final[Mapping[Task, pl.DataType]] = {
    "binary": pl.Int8(),
    "multiclass": pl.String(),
    "regression": pl.Float64(),
    "count": pl.Int64(),
}
"""What the label column of the feature table holds, by task: 0 or 1, the class, a quantity, a whole number from 0."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted: `label` over the cleaned entity table; null while it is not known (yet, or ever).

    Attributes:
        name: Column of the feature table that holds the label, in the type of `LABEL_TYPES`.
        known_at: Column of the cleaned entity table with the instant the label came into the world (UTC).
        influenced_by_answers: `no`: what the endpoint answers does not change the outcome (no bus is late because it
            was said to be). Where somebody acts on answers, a label may follow from a model's own answer: `exclude`
            leaves rows that were answered before their label was known out of the training set; `explored` keeps those
            of them that were asked for the purpose `exploration` only: a share that is acted on by chance.
    """

    name: str
    definition: str
    label: pl.Expr = field(compare=False)
    known_at: str
    influenced_by_answers: Influence = "no"


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column the models see. `group` is the block it is judged with for drift (schedule, weather, history...)."""

    name: str
    kind: FeatureKind
    group: str
    description: str


@dataclass(frozen=True, kw_only=True)
class UseCase:
    """One model line, from where its data lands to what is good enough to go live.

    Attributes:
        entity_table: The table whose rows are asked about.
        entity: Columns of its cleaned table that identify one prediction; empty if nothing does, and then rows may
            repeat.
        inputs: Columns of its cleaned table that a caller knows at prediction time; the rest of the row is never
            shown to `build_features`.
        optional_inputs: Those of `inputs` a caller may leave out.
        prediction_lead: The question is asked this long before the entity table's `event_time`; with `asked_at`, the
            longest lead that occurs.
        asked_at: Expression over the inputs for the instant of the question (UTC), where the lead differs by row; None:
            `event_time` less `prediction_lead`.
        lookback: No feature may need records that became known longer ago than this before prediction time.
        build_features: Pure function from a spine (inputs and `prediction_time`, shape (n, inputs + 1)) and the
            point-in-time `History` to the spine plus one column per feature, same rows, same order.
        baseline_by: Columns whose groups have their own rate (or mean) in the second naive baseline; empty: none.
        naive: Further naive predictions by name, each a numeric feature that is a prediction as it stands, such as the
            value a week ago. For quantities and counts only.
        slices: Columns by which scores are reported and guarded.
        automation: What is watched, and what starts a retraining.
        rollout: How a new champion takes over at the endpoint.
    """

    name: str
    description: str
    owner: str
    task: Task
    tables: tuple[SourceTable, ...]
    partitions: Partitions
    entity_table: str
    entity: tuple[str, ...]
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...] = ()
    prediction_lead: timedelta
    asked_at: pl.Expr | None = field(default=None, compare=False)
    lookback: timedelta
    target: Target
    features: tuple[Feature, ...]
    build_features: BuildFeatures = field(compare=False)
    split: TimeSplit
    trainers: tuple[TrainerSpec, ...]
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    baseline_by: tuple[str, ...] = ()
    naive: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    automation: Automation = field(default_factory=Automation)
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    seed: int = 20130901

    def __post_init__(self) -> None:
        where = f"use case {self.name!r}"
        if not self.name.isidentifier():
            raise DeclarationError(f"{where}: field name must be a Python identifier, it becomes part of asset keys")
        require_known([self.entity_table], [t.name for t in self.tables], f"{where}, field entity_table")
        table = self.table(self.entity_table)
        if table.event_time is None:
            raise DeclarationError(f"{where}: table {table.name!r} is the entity table and needs an event_time")
        for name in ("entity", "inputs"):
            require_known(getattr(self, name), table.cleaned_columns, f"{where}, field {name}")
        require_known([self.target.known_at], table.cleaned_columns, f"{where}, field target.known_at")
        require_known([*self.entity, table.event_time], self.inputs, f"{where}, fields entity and event_time of inputs")
        self._require_answers_to_be_found(table, where)
        require_known(self.optional_inputs, self.inputs, f"{where}, field optional_inputs")
        for name in ("slices", "baseline_by"):
            require_known(getattr(self, name), self.slice_columns, f"{where}, field {name}")
        require_known(list(self.naive.values()), self.feature_names, f"{where}, field naive")
        if self.naive and self.task not in ("regression", "count"):
            raise DeclarationError(f"{where}: field naive holds quantities, and the task is {self.task}")
        if not self.trainers:
            raise DeclarationError(f"{where}: field trainers is empty; name at least one family")
        for spec in self.trainers:
            check_family(spec.family, self.task)
        families = [family_name(spec.family) for spec in self.trainers]
        if twice := sorted({name for name in families if families.count(name) > 1}):
            raise DeclarationError(f"{where}: field trainers names {twice} more than once; each becomes one asset")
        if self.prediction_lead < timedelta(0):
            raise DeclarationError(f"{where}: field prediction_lead is negative, so the outcome would be known")
        groups = [feature.group for feature in self.features]
        if taken := {PREDICTION_GROUP, LABEL_GROUP} & {*groups}:
            raise DeclarationError(f"{where}: field features has groups {sorted(taken)}; the drift report has its own")
        for loc, says in contradictions(self.automation, self.partitions, groups):
            raise DeclarationError(f"{where}, field {'.'.join(['automation', *loc])}: {says}")

    def _require_answers_to_be_found(self, table: SourceTable, where: str) -> None:
        """Where answers change outcomes, the log must tell which rows were answered."""
        personal = table.personal("hash") | table.personal("drop")
        if self.target.influenced_by_answers != "no" and (not self.entity or personal & {*self.entity}):
            raise DeclarationError(
                f"{where}, field target.influenced_by_answers: rows that were answered are found by their entity; "
                "declare one, of columns that are not personal, as the log does not hold those"
            )

    def table(self, name: str) -> SourceTable:
        """The declared table of that name.

        Raises:
            DeclarationError: If the use case declares no such table.
        """
        require_known([name], [t.name for t in self.tables], f"use case {self.name!r}, field tables")
        return next(t for t in self.tables if t.name == name)

    @property
    def event_time(self) -> str:
        """Column of the cleaned entity table with the instant a row is about (UTC)."""
        return str(self.table(self.entity_table).event_time)

    @property
    def asking(self) -> pl.Expr:
        """The instant at which the question of each row is asked (UTC), from its inputs."""
        if self.asked_at is not None:
            return self.asked_at
        return pl.col(self.event_time) - self.prediction_lead

    @property
    def row_order(self) -> list[str]:
        """Columns of the feature table that order its rows: the same order whatever order they came in."""
        return [PREDICTION_TIME, *(self.entity or self.inputs)]

    @property
    def feature_names(self) -> list[str]:
        """Names of the columns the models see, in the declared order."""
        return [f.name for f in self.features]

    @property
    def categorical(self) -> list[str]:
        """Names of the categorical features, in the declared order."""
        return [f.name for f in self.features if f.kind == "categorical"]

    @property
    def slice_columns(self) -> list[str]:
        """Columns of the feature table that scores can be sliced by."""
        return [*self.inputs, *self.feature_names]

    @property
    def clocks(self) -> dict[str, Clock]:
        """The clocks of every table, by table name."""
        return {t.name: t.clock for t in self.tables}
