"""What an answer looks like on the wire, by task, and what no model may answer with."""

import numpy as np
import orjson
import pytest

from resources.serving.answers import Answer, Scores, outputs_metadata, predictions, problem, scores_of, tensors
from resources.serving.service import Task

CLASSES = ("a", "b", "(other)")
QUANTITY = ("prediction", "lower", "upper")
GOOD: dict[Task, tuple[tuple[str, ...], Scores]] = {
    "binary": (("probability",), np.array([0.25, 1.0])),
    "multiclass": (CLASSES, np.array([[0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])),
    "regression": (QUANTITY, np.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]])),
    "count": (QUANTITY, np.array([[1.5, 0.0, 3.0], [0.0, 0.0, 2.0]])),
}
TASKS = list(GOOD)


def answer(task: Task, rows: int = 2) -> Answer:
    outputs, scores = GOOD[task]
    return Answer(
        id="a",
        versions=[3] * rows,
        task=task,
        outputs=outputs,
        scores=scores[:rows],
        prediction_times=None,
        missing_inputs=[],
    )


def test_several_classes_travel_row_by_row_with_their_names_and_the_most_likely() -> None:
    assert tensors(answer("multiclass")) == [
        {
            "name": "probability",
            "shape": [2, 3],
            "datatype": "FP64",
            "data": [0.2, 0.7, 0.1, 0.6, 0.3, 0.1],
            "parameters": {"classes": ["a", "b", "(other)"]},
        },
        {"name": "class", "shape": [2], "datatype": "BYTES", "data": ["b", "a"]},
    ]


@pytest.mark.parametrize("task", ["regression", "count"])
def test_a_quantity_travels_with_the_ends_of_its_interval(task: Task) -> None:
    sent = tensors(answer(task))
    assert [(t["name"], t["shape"], t["datatype"]) for t in sent] == [(name, [2], "FP64") for name in QUANTITY]
    assert [t["data"] for t in sent] == GOOD[task][1].T.tolist()


def test_a_probability_travels_alone() -> None:
    assert tensors(answer("binary")) == [{"name": "probability", "shape": [2], "datatype": "FP64", "data": [0.25, 1.0]}]


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("task", TASKS)
def test_what_arrives_has_the_shape_that_the_model_gave(task: Task, rows: int) -> None:
    arrived = scores_of(orjson.loads(orjson.dumps(tensors(answer(task, rows)))))
    np.testing.assert_array_equal(arrived, GOOD[task][1][:rows])


def test_only_the_tensors_that_were_asked_for_travel() -> None:
    assert [t["name"] for t in tensors(answer("regression"), ("upper",))] == ["upper"]


def test_rows_as_json_are_numbers_or_objects() -> None:
    assert predictions(answer("binary")) == [0.25, 1.0]
    assert predictions(answer("multiclass", 1)) == [{"class": "b", "probability": {"a": 0.2, "b": 0.7, "(other)": 0.1}}]
    assert predictions(answer("count", 1)) == [{"prediction": 1.5, "lower": 0.0, "upper": 3.0}]


@pytest.mark.parametrize("task", TASKS)
def test_metadata_names_the_tensors_that_travel(task: Task) -> None:
    sent, described = tensors(answer(task)), outputs_metadata(task, GOOD[task][0])
    assert [(t["name"], t["datatype"], len(t["shape"])) for t in sent] == [
        (t["name"], t["datatype"], len(t["shape"])) for t in described
    ]
    assert sent[0].get("parameters") == described[0].get("parameters")


@pytest.mark.parametrize("task", TASKS)
def test_a_good_answer_has_no_problem(task: Task) -> None:
    assert problem(task, *GOOD[task], 2) is None


BAD: dict[str, tuple[Task, tuple[str, ...], object, str]] = {
    "rows are missing": ("binary", ("probability",), [0.5], "shape"),
    "a column too many": ("binary", ("probability",), [[0.5], [0.5]], "shape"),
    "not a number": ("binary", ("probability",), [0.5, np.nan], "number"),
    "above 1": ("binary", ("probability",), [0.5, 1.1], "from 0 to 1"),
    "a model of classes for a probability": ("binary", CLASSES, [[0.2, 0.7, 0.1]] * 2, "a model of a binary task"),
    "a class is missing": ("multiclass", CLASSES, [[0.5, 0.5], [0.5, 0.5]], "shape"),
    "one class": ("multiclass", ("a",), [[1.0], [1.0]], "a model of a multiclass task"),
    "classes beyond 1": ("multiclass", CLASSES, [[0.5, 0.5, 0.5], [0.2, 0.7, 0.1]], "add up to 1"),
    "a negative class": ("multiclass", CLASSES, [[1.2, -0.2, 0.0], [0.2, 0.7, 0.1]], "from 0 to 1"),
    "no interval": ("regression", ("prediction",), [1.0, 2.0], "a model of a regression task"),
    "below its interval": ("regression", QUANTITY, [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "outside"),
    "above its interval": ("regression", QUANTITY, [[4.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "outside"),
    "an infinite interval": ("regression", QUANTITY, [[4.0, 2.0, np.inf], [0.0, 0.0, 0.0]], "number"),
    "fewer than none": ("count", QUANTITY, [[1.0, -1.0, 3.0], [0.0, 0.0, 0.0]], "below 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_answer_is_told(case: str) -> None:
    task, outputs, scores, why = BAD[case]
    assert why in str(problem(task, outputs, np.array(scores), 2))
