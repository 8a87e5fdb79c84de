"""Which code made an asset, as a short text that changes when the code's meaning may have changed.

Belongs here: from entry points to all they reach, and from that to a code version. Does not belong here: how a
definition is read (`code_files.py`, `code_text.py`) or a value (`code_values.py`), and reacting to a changed version
(`pipelines/code_changes.py`).

From a function all is reached that it names when it runs, and so on through our own packages: functions, constants,
classes (whole: which methods are called cannot be told), and what a module does when it is imported. What only
annotations name stays out, because others make it and hand it in: the lake, the registry, the use case. What cannot be
told from the text counts wholly: a module handed around as a value, or one that makes up the name that is asked for.
"""

import builtins
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Final

from assets.code_files import Imported, SourceModule, is_installed, owner, path_of, source_module
from assets.code_text import Text, text_of
from assets.code_values import Code, name_of, spoken

__all__ = ["Reached", "code_version", "git_commit", "name_of", "reached"]

NO_MEANING: Final = frozenset({"dagster", "dagster_shared"})
"""Libraries that run the code and have no part in what comes of it."""
OWN_NAME: Final = {"sklearn": "scikit-learn", "yaml": "PyYAML"}
"""Distributions that are not called as their module. Others are looked up, in all of what is installed: 0.5 s."""
THESE: Final = "assets.code_"
"""How a version is told is no part of what it tells."""


def code_version(*entries: object, values: object = None) -> str:
    """First 12 hex digits of a sha256 over all code that `entries` reach, its libraries' versions, and `values`.

    Comments, docstrings, formatting and the order of imports do not count. The code is read, not imported, so that a
    code location stays light.

    Args:
        entries: Names, `package.module:name`, or `package.module` for all of a module; or functions and values such as
            a use case declares: a value that can be called counts with all it is made of.
        values: Declared settings that belong to the meaning, as they are; functions among them are entries too.

    Raises:
        ModuleNotFoundError: If a module does not exist.
        LookupError: If a module has no such name.
    """
    said, named = spoken((tuple(e for e in entries if not isinstance(e, str)), values))
    found = reached(*(e for e in entries if isinstance(e, str)), *(code for code in named))
    digest = hashlib.sha256(said.encode())
    for key in sorted(found.definitions):
        digest.update(f"{key}={found.definitions[key]}\n".encode())
    for library in sorted(found.libraries):
        digest.update(f"{library}=={_installed(library)}\n".encode())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What entry points reach.

    Attributes:
        definitions: Digest of each statement by `module:name`.
        libraries: Top-level modules of installed libraries that are used.
    """

    definitions: dict[str, str] = field(default_factory=dict)
    libraries: set[str] = field(default_factory=set)


@cache
def reached(*entries: str | Code) -> Reached:
    """All that is reached; see `code_version`. Told once: a file that changes while a process runs is not read again.

    Raises:
        ModuleNotFoundError: If a module does not exist.
        LookupError: If a module has no such name.
    """
    found, done = Reached(), set[Imported]()
    waiting = [_entry(entry) for entry in entries]
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        if (whose := owner(path[0])) == "ours":
            waiting += _follow(path, found)
        elif whose == "library" and path[0] not in NO_MEANING:
            found.libraries.add(path[0])
    return found


def git_commit() -> str:
    """The commit that is checked out, with `-dirty` if tracked files differ from it; says so where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except FileNotFoundError:
        return "git is not installed"
    return found.stdout.strip() or "not a git checkout"


def _entry(entry: str | Code) -> Imported:
    """The path of an entry; a declared function or class that a program made up is the whole of its module."""
    module, _, name = entry.partition(":") if isinstance(entry, str) else (entry.module, "", entry.name)
    path = tuple(module.split("."))
    if owner(path[0]) == "ours" or not is_installed(path[0]):
        source = source_module(module)
        if source is None:
            raise ModuleNotFoundError(f"module {module!r} was not found, so its code version cannot be told")
        if not {name} & {*source.definitions, *source.imported}:
            if name and isinstance(entry, str):
                raise LookupError(f"module {module!r} has no {name!r}, so its code version cannot be told")
            return path
    return (*path, name) if name else path


def _follow(path: Imported, found: Reached) -> Iterator[Imported]:
    """Take in what a path of our own stands for; the paths that it leads to."""
    module, rest = _split(path)
    if f"{module}.".startswith(THESE) or (source := source_module(module)) is None:
        return
    parts = module.split(".")
    for package in (source_module(".".join(parts[:n])) for n in range(1, len(parts) + 1)):
        if package is not None:  # what its packages do when they are imported happens as well
            yield from _taken_in(package, "", found)
    if rest and rest[0] in source.definitions:
        yield from _taken_in(source, rest[0], found)
    elif rest and rest[0] in source.imported:
        yield from ((*target, *rest[1:]) for target in source.imported[rest[0]])
    else:  # all of it; so too if the name is made up when it is asked for, or comes with a star
        for name in source.definitions:
            yield from _taken_in(source, name, found)
        yield from (tuple(star.split(".")) for star in source.stars)


def _taken_in(source: SourceModule, name: str, found: Reached) -> Iterator[Imported]:
    """Take in the statements behind a name, or those that always run; what they lead to."""
    texts = _texts(source, name)
    if texts:
        found.definitions[f"{source.name}:{name}"] = " ".join(text.digest for text in texts)
    for text in texts:
        own: dict[str, list[Imported]] = {}
        for bound, path in text.imports:
            own.setdefault(bound, []).append(path)
        for use in text.uses:
            yield from _meant(source, own, use)
        used = {use[0] for use in text.uses}
        # An import that binds nothing anybody reads is there for what the module does.
        yield from (path for bound, path in text.imports if bound not in used)
        yield from (tuple(module.split(".")) for module in text.loads)


def _meant(source: SourceModule, own: dict[str, list[Imported]], use: Imported) -> Iterator[Imported]:
    """What a name may stand for that is used in a module, in a statement with imports of its `own`."""
    name, *rest = use
    targets = [*own.get(name, ()), *source.imported.get(name, ())]
    yield from ((*target, *rest) for target in targets)
    if name in source.definitions:
        yield (*source.name.split("."), name)
    elif not targets and not hasattr(builtins, name):
        yield from ((*star.split("."), name) for star in source.stars)


@cache
def _texts(source: SourceModule, name: str) -> tuple[Text, ...]:
    """The statements that bind a name of a module; without a name those that always run.

    To those belong definitions under decorators of others, which may put them on a list somewhere.
    """

    def is_quiet(root: str) -> bool:
        paths = source.imported.get(root, [])
        return root not in source.definitions and all(p[0] in NO_MEANING or owner(p[0]) == "python" for p in paths)

    statements = source.definitions.get(name, []) if name else source.always
    if not name:
        others = (s for found in source.definitions.values() for s in found if s not in source.always)
        statements = [*statements, *(s for s in others if not all(root and is_quiet(root) for root in s.decorators))]
    return tuple(text_of(statement, source.package, is_quiet) for statement in statements)


@cache
def _split(path: Imported) -> tuple[str, Imported]:
    """The longest beginning of a path that is a module, and what follows it."""
    for n in range(len(path), 1, -1):
        if path_of(module := ".".join(path[:n])) is not None:
            return module, path[n:]
    return path[0], path[1:]


@cache
def _installed(library: str) -> str:
    """The installed release of what a top-level module belongs to."""
    try:
        return version(OWN_NAME.get(library, library))
    except PackageNotFoundError:
        return " ".join(f"{name} {version(name)}" for name in sorted({*packages_distributions().get(library, ())}))
