from pathlib import Path

import pytest

from assets.policies import DeclarationError
from assets.trainers.families import FAMILIES, check_family, described, family_code, family_name, trainer
from tests.assets.trainers.cases import OWN


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_can_do_the_tasks_it_declares_and_is_refused_for_others(name: str) -> None:
    for task in ("binary", "multiclass", "regression", "count"):
        if task in FAMILIES[name].tasks:
            check_family(name, task)
        else:
            with pytest.raises(DeclarationError, match=rf"'{name}' cannot be trained for the task {task}.*catboost"):
                check_family(name, task)


def test_a_family_that_is_misspelt_is_refused_with_the_near_one() -> None:
    with pytest.raises(DeclarationError, match="did you mean 'catboost'"):
        check_family("catbost", "binary")


def test_ones_own_function_is_named_by_its_name_and_versioned_with_it() -> None:
    family = f"{OWN}:with_a_function"
    assert family_name(family) == "with_a_function"
    assert (described(family).title, described(family).kind) == ("with a function", "scikitlearn")
    assert family_code(family) == ("assets.trainers.estimator:trainer_of", family)
    assert (family_name("ridge"), family_code("ridge")) == ("ridge", ("assets.trainers.ridge:TRAINER",))


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("no.such.package:forest", "no module no.such.package"),
        ("tests.no_such_module:forest", "no module tests.no_such_module"),
        (f"{OWN}:forrest", r"no function forrest; it defines \['forest'"),
        (f"{OWN}:", "not of the form"),
        (":forest", "not of the form"),
    ],
)
def test_a_function_that_is_not_there_is_refused_before_anything_is_loaded(family: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        check_family(family, "binary")


def test_ones_own_module_is_looked_at_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "costly_family.py").write_text("raise RuntimeError('loaded')\ndef forest(task, seed): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    check_family("costly_family:forest", "count")


@pytest.mark.parametrize("family", ["no.such.package:forest", f"{OWN}:forrest"])
def test_a_trainer_of_a_function_that_is_not_there_is_refused(family: str) -> None:
    with pytest.raises(DeclarationError, match=r"forrest|no\.such"):
        trainer(family)
