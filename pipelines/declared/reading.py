"""A YAML file as a declaration, with every mistake told by file, line and field.

Belongs here: YAML with line numbers, and the words of mistakes. Does not belong here: which fields there are
(`schema.py`), and what a declaration contradicts in itself (`consistency.py`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeAlias, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from assets.policies import DeclarationError
from pipelines.declared.schema import UseCaseDeclaration
from pipelines.declared.words import did_you_mean
from resources.errors import InputError

Loc: TypeAlias = tuple[str | int, ...]
SHOWN: Final = 10
"""Mistakes told at once."""


class DeclaredError(InputError):
    """A declaration that cannot work: one line per mistake, `file:line field: what is wrong; what is allowed`."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """What is wrong in which field, as a sentence without its subject."""

    loc: Loc
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the fields of a declaration stand.

    Attributes:
        file: Its path, as it is shown.
        lines: Line by field, from 1.
    """

    file: str
    lines: Mapping[Loc, int]

    def error(self, mistakes: Sequence[Mistake]) -> DeclaredError:
        """All mistakes as one error, in the order of the file."""
        told = sorted((self._line(m.loc), f"{_field(m.loc)}: {m.sentence}") for m in mistakes)
        lines = [f"{self.file}:{line} {sentence}" for line, sentence in told[:SHOWN]]
        more = [f"and {len(told) - SHOWN} more mistakes"] if len(told) > SHOWN else []
        return DeclaredError("\n".join([*lines, *more]))

    @contextmanager
    def at(self, *loc: str | int) -> Iterator[None]:
        """Tell what a value refuses as a mistake of the field that declares it.

        Raises:
            DeclaredError: If the body raises a `DeclarationError` or `ValueError`.
        """
        try:
            yield
        except (DeclarationError, ValueError) as error:
            raise self.error([Mistake(loc=loc, sentence=str(error))]) from error

    def _line(self, loc: Loc) -> int:
        """The line of the field, or of the nearest part of the file that holds it."""
        return next(self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A declaration and where its fields stand."""

    declaration: UseCaseDeclaration
    places: Places

    def with_declaration(self, declaration: UseCaseDeclaration) -> "Reading":
        """The same file with another declaration, whose mistakes are told at the places of this one."""
        return replace(self, declaration=declaration)


def read(path: Path) -> Reading:
    """The declaration in a file. Nothing but the file is read.

    Raises:
        DeclaredError: If it is no YAML, or a field is unknown, missing or not as it must be.
    """
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, file: str) -> Reading:
    """The same for its text; `file` is what it is called in mistakes."""
    try:
        loader = Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclaredError(f"{file}:{line} is no YAML: {error.problem or error.context}") from error
    lines: dict[Loc, int] = {(): 1}
    places = Places(file=file, lines=lines)
    repeated = list(_marked(root, (), lines)) if root is not None else []
    if repeated:
        raise places.error(repeated)
    if not isinstance(data, dict):
        raise DeclaredError(f"{file}:1 holds no fields; it needs at least source, time and target")
    try:
        return Reading(declaration=UseCaseDeclaration.model_validate(data), places=places)
    except ValidationError as error:
        raise places.error([_mistake(e, data) for e in error.errors(include_url=False)]) from error


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C is ten times as fast, which shows with thousands of columns; not every build has it."""


class Loader(_Base):  # type: ignore[misc]  # one of two classes, known when it runs
    """YAML 1.2's plain types: `yes` and `no` are texts, dates and clock times stay as they are written."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as its base declares it


for _tag, _form, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_form})$"), list(_first))


def _integer(loader: Loader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))  # 010 is ten, as people mean it


Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def _marked(node: yaml.Node, loc: Loc, lines: dict[Loc, int]) -> Iterator[Mistake]:
    """Note the line of every field below a node; fields that stand twice are mistakes."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*loc, str(key.value))
            if here in lines:
                yield Mistake(loc=here, sentence=f"stands twice, also in line {key.start_mark.line + 1}")
            lines.setdefault(here, key.start_mark.line + 1)
            yield from _marked(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[*loc, number] = value.start_mark.line + 1
            yield from _marked(value, (*loc, number), lines)


def _field(loc: Loc) -> str:
    """`features.lags[0].column`."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return f"field {words.lstrip('.')}" if words else "the file"


def _mistake(error: Any, data: object) -> Mistake:
    """What pydantic found, as a sentence that says what is allowed."""
    loc: Loc = tuple(part for part in error["loc"])
    if (sentence := _sentence(error, loc)) is not None:
        return Mistake(loc=loc, sentence=sentence)
    reason = str(error["msg"])
    return Mistake(loc=_known(loc, data), sentence=f"is {error['input']!r}; {reason[0].lower()}{reason[1:]}")


def _sentence(error: Any, loc: Loc) -> str | None:
    """In our own words; None for kinds that pydantic words well itself."""
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_fields(UseCaseDeclaration, loc[:-1]))
            sentence = f"there is no such field; {did_you_mean(str(loc[-1]), known)} Allowed are {', '.join(known)}"
        case "missing":
            sentence = "is missing, and has no default"
        case "literal_error":
            allowed = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
            sentence = f"is {given!r}; {did_you_mean(str(given), allowed)} Allowed are {', '.join(allowed)}"
        case "value_error":
            sentence = str(error["ctx"]["error"])
        case "model_type" | "dict_type":
            sentence = f"is {given!r}, and must hold fields, each on a line of its own"
        case "tuple_type" | "list_type":
            sentence = f"is {given!r}, and must be a list, such as [{given}]"
        case _:
            return None
    return sentence


def _known(loc: Loc, data: object) -> Loc:
    """The part of a place that stands in the data: pydantic appends the member of a union that it tried."""
    found: list[str | int] = []
    for part in loc:
        if not (isinstance(data, dict) and part in data) and not (isinstance(data, list) and isinstance(part, int)):
            break
        found.append(part)
        data = data[part]  # type: ignore[index]  # it is in there
    return tuple(found)


def _fields(model: Any, loc: Loc) -> list[str]:
    """Names of the fields allowed at a place of a model."""
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            known = {f.alias or name: f.annotation for name, f in model.model_fields.items()}
            model = _plain(known[str(part)])
        else:  # the values of a mapping, or the items of a list
            model = _plain(next(a for a in reversed(get_args(model)) if a is not Ellipsis))
    return [f.alias or name for name, f in model.model_fields.items()]


def _plain(annotation: Any) -> Any:
    """Without `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation
