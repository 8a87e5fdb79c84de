"""A use case from its YAML file: the same contract that Python declares.

Belongs here: putting the parts together. Does not belong here: each part (`tables.py`, `features.py`, `origin.py`,
`automation.py`). The catalogue looks here for `load_use_case` and `load_deliver`.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import polars as pl

from assets.automation import Automation
from assets.contracts import Partitions, SourceTable, Target, UseCase
from assets.logic.feature_blocks.blocks import Blocks
from assets.policies import PromotionPolicy, RolloutPolicy, TimeSplit, TrainerSpec
from assets.trainers.names import check_family
from pipelines.declared.automation import automation_mistakes, automation_of
from pipelines.declared.consistency import feature_mistakes, mistakes
from pipelines.declared.defaults import default_baselines, default_features, default_trainers
from pipelines.declared.features import build_blocks
from pipelines.declared.origin import deliver_declared
from pipelines.declared.reading import Mistake, Places, Reading, read
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.tables import asked_at_of, entity_table, further_table, kept, label_of, partitions_of
from pipelines.declared.words import did_you_mean
from resources.objects import ObjectStore
from resources.serving.guardrails import Guardrails

ONE_DAY: Final = timedelta(days=1)
Echo = Callable[[str], None]


def load_use_case(path: Path) -> UseCase:
    """The use case that a file declares, called as its folder is. Only the file is read.

    Raises:
        DeclaredError: If it cannot work; one line per mistake with file, line and field.
    """
    return build_use_case(path.parent.name, read(path))


def load_deliver(path: Path) -> Callable[[ObjectStore, Echo], None] | None:
    """What brings its data into the landing zone; None if others do.

    Raises:
        DeclaredError: As `load_use_case`.
    """
    reading, name = read(path), path.parent.name
    declared = reading.declaration
    sources = [declared.source, *(table.source for table in declared.tables.values())]
    if all(source.pattern is not None for source in sources):
        return None
    build_use_case(name, reading)

    def deliver(landing: ObjectStore, echo: Echo) -> None:
        deliver_declared(name, declared, path.parent, landing, echo)

    return deliver


def build_use_case(name: str, reading: Reading) -> UseCase:
    """The use case of that name.

    Raises:
        DeclaredError: As `load_use_case`.
    """
    declared, places = reading.declaration, reading.places
    _refuse(places, [*mistakes(declared, name)])
    features = declared.features or default_features(declared)
    _refuse(places, [*feature_mistakes(declared, features)])
    blocks = build_blocks(declared, features, places)
    _refuse(places, [*_mistakes_of_names(declared, blocks)])
    with places.at("partitions"):
        partitions = partitions_of(declared)
    with places.at("time"):
        entity = entity_table(name, declared)
    tables = _further_tables(name, declared, places)
    with places.at("split"):
        split = _split(declared)
    trainers = _trainers(declared, places)
    automation = _automation(declared, partitions, blocks, places)
    rollout = _rollout(declared, places)
    with places.at():
        inputs = _inputs(declared)
        return UseCase(
            name=name,
            description=declared.description or f"Predicts {declared.target.column}.",
            owner=declared.owner,
            task=declared.target.task,
            tables=(*tables, entity),
            partitions=partitions,
            entity_table=declared.table,
            entity=_entity(declared),
            inputs=inputs,
            optional_inputs=_optional(declared, inputs),
            prediction_lead=declared.predict.ahead or declared.predict.longest or timedelta(0),
            asked_at=asked_at_of(declared),
            lookback=max(blocks.lookback, ONE_DAY),
            target=_target(declared),
            features=blocks.features(),
            build_features=blocks,
            split=split,
            trainers=trainers,
            promotion=PromotionPolicy(**declared.promotion.model_dump()),
            baseline_by=declared.baseline_by,
            naive=declared.baselines or (default_baselines(declared, features) if declared.features is None else {}),
            slices=declared.slices,
            rollout=rollout,
            automation=automation,
        )


def _refuse(places: Places, found: Sequence[Mistake]) -> None:
    if found:
        raise places.error(found)


def _further_tables(name: str, declared: UseCaseDeclaration, places: Places) -> list[SourceTable]:
    tables = []
    for other, table in declared.tables.items():
        with places.at("tables", other):
            tables.append(further_table(name, other, table, declared))
    return tables


def _automation(declared: UseCaseDeclaration, partitions: Partitions, blocks: Blocks, places: Places) -> Automation:
    groups = [feature.group for feature in blocks.features()]
    automation = automation_of(declared, partitions, groups)
    _refuse(places, [*automation_mistakes(declared, automation, partitions, groups)])
    return automation


def _rollout(declared: UseCaseDeclaration, places: Places) -> RolloutPolicy:
    said = declared.rollout.model_dump()
    with places.at("rollout"):
        return RolloutPolicy(**{**said, "guardrails": Guardrails(**said["guardrails"])})


def _mistakes_of_names(declared: UseCaseDeclaration, blocks: Blocks) -> list[Mistake]:
    """Names of features in other fields."""
    made = [feature.name for feature in blocks.features()]
    inputs = [*_inputs(declared)]
    found = [
        Mistake(loc=("baselines", name), sentence=f"there is no feature {feature!r}; {did_you_mean(feature, made)}")
        for name, feature in declared.baselines.items()
        if feature not in made
    ]
    for field in ("slices", "baseline_by"):
        for number, name in enumerate(getattr(declared, field)):
            if name not in (known := [*inputs, *made]):
                sentence = f"there is no input or feature {name!r}; {did_you_mean(name, known)}"
                found.append(Mistake(loc=(field, number), sentence=sentence))
    for name in made:
        if name == declared.target.column:
            found.append(Mistake(loc=("features",), sentence=f"a feature is called {name!r}, as the target is"))
    if not made:
        found.append(Mistake(loc=("features",), sentence="there are none; name at least one, or leave the field out"))
    return found


def _inputs(declared: UseCaseDeclaration) -> tuple[str, ...]:
    """The time, the key, and every other column with the role input."""
    known = [n for n, c in kept(declared).items() if c.role == "input"]
    return tuple(dict.fromkeys([declared.time.event_time, *_entity(declared), *known]))


def _optional(declared: UseCaseDeclaration, inputs: tuple[str, ...]) -> tuple[str, ...]:
    predict = declared.predict
    needed = {declared.time.event_time, *_entity(declared), predict.at, predict.lead.column if predict.lead else None}
    return tuple(n for n in inputs if n not in needed and declared.columns[n].nullable)


def _entity(declared: UseCaseDeclaration) -> tuple[str, ...]:
    """The key over cleaned columns: the parts of the time are one column there."""
    parts = {*declared.time.by_role.values()}
    return tuple(dict.fromkeys(declared.time.event_time if n in parts else n for n in declared.key))


def _target(declared: UseCaseDeclaration) -> Target:
    target, label = declared.target, label_of(declared)
    value = "" if target.positive is None else f" = {target.positive}"
    return Target(
        name=target.column,
        definition=target.definition or f"{target.column}{value}",
        label=pl.col(target.column),
        known_at=label.known_column,
        influenced_by_answers=target.influenced_by_answers,
    )


def _split(declared: UseCaseDeclaration) -> TimeSplit:
    target, split = declared.target, declared.split
    under_way = target.known_after or timedelta(0)
    gap = -(-under_way // ONE_DAY) * ONE_DAY if split.gap is None else split.gap
    return TimeSplit(validation=split.validation, test=split.test, gap=gap)


def _trainers(declared: UseCaseDeclaration, places: Places) -> tuple[TrainerSpec, ...]:
    task = declared.target.task
    chosen = default_trainers(task) if declared.trainers is None else declared.trainers
    for number, trainer in enumerate(chosen):
        with places.at("trainers", number, "family"):
            check_family(trainer.family, task)
    return tuple(TrainerSpec(**trainer.model_dump()) for trainer in chosen)
