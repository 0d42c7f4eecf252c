from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychoui.session.document import Document, experiment_on
from ptychoui.session.opening import demo_experiment, load_data, mri_example
from ptychoui.session.way import TITLES, Done, WayStep, way_of
from ptychoui.training.events import Started


def steps_of(document: Document, **done: Any) -> dict[str, WayStep]:
    return {step.key: step for step in way_of(document, Done(**done))}


def next_of(document: Document, **done: Any) -> str:
    found = [step.key for step in way_of(document, Done(**done)) if step.state == "next"]
    assert len(found) <= 1
    return "".join(found)


def with_data(name: str) -> Document:
    document = Document(experiment_on(name))
    document.dataset = load_data(document.data_source, None).dataset
    return document


@pytest.fixture
def stack() -> Document:
    return with_data("sample:stack")


@pytest.fixture
def objects() -> Document:
    return with_data("sample:objects")


def test_an_empty_window_is_to_open_something() -> None:
    steps = steps_of(Document())
    assert list(steps) == list(TITLES)
    assert next_of(Document()) == "open"
    assert all(step.state == "waits" and step.sentence for key, step in steps.items() if key != "open")


def test_a_stack_is_reconstructed_first_and_may_be_calibrated(stack: Document) -> None:
    steps = steps_of(stack)
    assert steps["open"].state == steps["geometry"].state == "done"
    assert "images" in steps["open"].sentence and "LED" in steps["geometry"].sentence
    assert next_of(stack) == "reconstruct"
    assert steps["calibrate"].state == "can" and steps["calibrate"].optional

    class Report:
        class found:
            history = (0.5, 0.25)

    stack.reconstruction.report = Report()  # type: ignore[assignment]
    assert steps_of(stack)["reconstruct"].sentence == "Residual 0.25 after 2 passes"
    assert next_of(stack) == "train"


def test_objects_have_nothing_to_reconstruct(objects: Document) -> None:
    steps = steps_of(objects)
    assert "reconstruct" not in steps and "calibrate" not in steps
    assert next_of(objects) == "train"


def test_what_was_trained_is_compared_and_exported(objects: Document) -> None:
    objects.history.training.append(3, 0.5)
    steps = steps_of(objects)
    assert steps["train"].state == "done" and "3 steps" in steps["train"].sentence
    assert next_of(objects) == "compare"
    assert next_of(objects, compared=True) == "export"
    assert next_of(objects, compared=True, exported=True) == ""
    # What was passed by is not called the next.
    assert next_of(objects, exported=True) == ""


def test_a_run_that_goes_on_is_not_done(objects: Document) -> None:
    objects.history.take(
        Started(step=0, steps=7, device="cpu", strategy="reversible", predicted_bytes={}, summary="", warnings=())
    )
    objects.history.training.append(3, 0.5)
    step = steps_of(objects)["train"]
    assert step.state == "next" and step.sentence == "Learning: step 3 of 7"


def test_a_doubtful_geometry_comes_first(stack: Document) -> None:
    stack.history.training.append(3, 0.5)
    assert next_of(stack, geometry_doubt="The array is mirrored") == "geometry"
    assert steps_of(stack, geometry_doubt="The array is mirrored")["geometry"].sentence == "The array is mirrored"


def test_painted_patterns_are_a_design(objects: Document) -> None:
    assert steps_of(objects)["design"].state == "can"
    design = objects.design()
    assert design is not None
    objects.take_design("paint", np.zeros_like(design[0]), design[1])
    assert steps_of(objects)["design"].state == "done"


def test_k_space_has_no_microscope() -> None:
    steps = steps_of(Document(mri_example()))
    assert list(steps) == ["open", "train", "export"]
    assert steps["open"].state == "done" and steps["export"].state == "waits"
    assert next_of(Document(mri_example())) == "train"


def test_without_a_geometry_it_is_asked_for() -> None:
    document = Document(demo_experiment())
    document.dataset = load_data(document.data_source, None).dataset
    assert document.geometry is not None
    assert steps_of(document)["geometry"].state == "done"
