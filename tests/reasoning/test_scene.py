"""A Scene holds PMFs and nothing else; wrong shapes are refused in one sentence."""

import dataclasses

import pytest
import torch

from reasoning.scene import AttributeKey, Scene
from vsa.errors import ShapeError, VSAError

TYPE, PLACE = AttributeKey(0, "Type"), AttributeKey(1, "Position")


def pmf(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def scene(batch=4, columns=3):
    panels = 3 * columns - 1 + 8
    return Scene(columns, {TYPE: pmf(batch, panels, 5)}, {PLACE: pmf(batch, panels, 4)})


def test_shapes_and_keys():
    found = scene(columns=10)
    assert (found.context_panels, found.panels, len(found)) == (29, 37, 4)
    assert found.keys == (TYPE, PLACE) and str(PLACE) == "1|Position"


def test_a_part_of_a_scene_is_a_scene():
    whole = scene()
    part = whole[1:3]
    assert len(part) == 2 and torch.equal(part.pmfs[TYPE], whole.pmfs[TYPE][1:3])
    assert torch.equal(whole[torch.tensor([3, 0])].sets[PLACE], whole.sets[PLACE][[3, 0]])


def test_the_solver_sees_neither_rules_nor_target_nor_file_name():
    assert {field.name for field in dataclasses.fields(Scene)} == {
        "columns",
        "pmfs",
        "sets",
        "entities",
    }


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Scene(3), VSAError, "no attribute"),
        (lambda: Scene(2, {TYPE: pmf(1, 13, 5)}), VSAError, "2 columns; expected at least 3"),
        (lambda: Scene(3, {TYPE: pmf(1, 9, 5)}), ShapeError, r"\(B, 16, V\)"),
        (lambda: Scene(3, {TYPE: pmf(2, 16, 5)}, {}, {TYPE: pmf(2, 16, 5)}), ShapeError, r"\(B, 16, S, V\)"),
        (lambda: Scene(3, {TYPE: pmf(16, 5)}), ShapeError, r"\(16, 5\)"),
        (lambda: Scene(3, {TYPE: pmf(2, 16, 5)}, {PLACE: pmf(3, 16, 4)}), ShapeError, "3 puzzles"),
    ],
)
def test_wrong_use_is_a_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
