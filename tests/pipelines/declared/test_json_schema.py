"""The JSON schema that editors use."""

import json

import jsonschema
import yaml

from pipelines.declared.json_schema import PATH, text

LEAST = "source: {uri: a.csv}\ntime: {column: at}\ntarget: {column: y, task: binary}\n"


def faults(declaration: str) -> list[str]:
    schema = json.loads(PATH.read_text(encoding="utf-8"))
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(declaration))]


def test_the_committed_schema_is_that_of_the_fields() -> None:
    message = "run python -m pipelines.declared.json_schema"
    assert PATH.read_text(encoding="utf-8") == text(), message


def test_every_field_says_what_it_means() -> None:
    schema = json.loads(text())
    objects = [schema, *schema["$defs"].values()]
    silent = [n for o in objects for n, field in o.get("properties", {}).items() if not field.get("description")]
    assert silent == []


def test_a_declaration_that_loads_fits_the_schema() -> None:
    assert faults(LEAST + "predict: {ahead: 1d 12h}\ncolumns: {a: {from: b, type: number, min: 0}}\n") == []


def test_an_editor_sees_what_loading_would_refuse() -> None:
    assert faults(LEAST + "predict: {ahead: soon}\n") != []
    assert faults(LEAST + "ownr: me\n") != []
