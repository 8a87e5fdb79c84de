"""The model families by name: what they are called and which tasks they can do. Loads nothing.

Belongs here: what is known of a family without its libraries. Does not belong here: its trainer and its models, which
`families.py` finds.
"""

import ast
import difflib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from assets.policies import DeclarationError, Task

ALL_TASKS: Final[tuple[Task, ...]] = get_args(Task)


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family is shown, and what it is good for.

    Attributes:
        title: What a person calls it.
        kind: Its library, as the Dagster UI knows it.
        tasks: What it can be trained for.
    """

    title: str
    kind: str
    tasks: tuple[Task, ...] = ALL_TASKS


FAMILIES: Final[Mapping[str, Family]] = {
    "logistic_regression": Family(title="logistic regression", kind="scikitlearn", tasks=("binary", "multiclass")),
    "ridge": Family(title="ridge or Poisson regression", kind="scikitlearn", tasks=("regression", "count")),
    "catboost": Family(title="CatBoost", kind="catboost"),
    "neural_network": Family(title="neural network", kind="pytorch"),
}
"""Each has a module of its name beside this one, with a `TRAINER` and a `MODEL`.

Beside them, `package.module:function` names a function that returns an unfitted scikit-learn estimator (see
`estimator.py`).
"""


def is_function(family: str) -> bool:
    """Whether the family is one's own function, `package.module:function`."""
    return ":" in family


def described(family: str) -> Family:
    """The family's title, library and tasks.

    Raises:
        DeclarationError: If there is no such family.
    """
    if is_function(family):
        return Family(title=family_name(family).replace("_", " "), kind="scikitlearn")
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DeclarationError(
            f"there is no model family {family!r}{hint} Known are {list(FAMILIES)} and package.module:function"
        )
    return FAMILIES[family]


def family_name(family: str) -> str:
    """The family as an identifier, for asset keys: of one's own function its name."""
    return family.rpartition(":")[2]


def family_module(family: str) -> str:
    """The module that holds the family's `MODEL`, and its `TRAINER` or what makes one of a function."""
    return "assets.trainers.estimator" if is_function(family) else f"assets.trainers.{family}"


def family_code(family: str) -> tuple[str, ...]:
    """What makes the family what it is, as entries of its code version."""
    module = family_module(family)
    return (f"{module}:trainer_of", family) if is_function(family) else (f"{module}:TRAINER",)


def check_family(family: str, task: Task) -> None:
    """Refuse a family that does not exist or cannot do the task. One's own module is looked at, not imported.

    Raises:
        DeclarationError: Saying which families can do it, or what is wrong with the function's path.
    """
    if task not in described(family).tasks:
        able = [name for name, known in FAMILIES.items() if task in known.tasks]
        raise DeclarationError(f"family {family!r} cannot be trained for the task {task}; {able} can")
    if is_function(family):
        _check_function(family)


def _check_function(family: str) -> None:
    module, _, function = family.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise DeclarationError(f"family {family!r} is not of the form package.module:function")
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a package on the way to it
        spec = None
    if spec is None or spec.origin is None:
        raise DeclarationError(f"family {family!r}: there is no module {module}; it has to be an importable file")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    if function not in defined:
        raise DeclarationError(f"family {family!r}: {module} defines no function {function}; it defines {defined}")
