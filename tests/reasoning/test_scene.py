"""A Scene holds PMFs and nothing else; wrong shapes are refused in one sentence."""

import dataclasses

import numpy as np
import pytest
import torch

from reasoning.scene import AttributeKey, Scene
from vsa.errors import DtypeError, ShapeError, VSAError

TYPE, PLACE = AttributeKey(0, "Type"), AttributeKey(1, "Position")


def pmf(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)).softmax(-1)


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
        "ranges",
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


def refused(value, error=VSAError, key=TYPE, **sets):
    with pytest.raises(error) as caught:
        Scene(3, {key: value}, **sets)
    return str(caught.value)


def test_what_is_no_probability_is_a_sentence():
    sound = pmf(4, 16, 5)
    spoiled = sound.clone()
    spoiled[2, 3, 1] = torch.nan
    assert refused(spoiled) == (
        "Scene attribute 0|Type: received NaN in 1 of 4 puzzles; expected numbers; "
        "look for a logarithm of zero or a division by zero"
    )
    assert "log-probabilities become PMFs by exp()" in refused(sound.log())
    assert "logits become PMFs by softmax(-1)" in refused(10 * sound - 1)
    assert "sum to 2" in refused(2 * sound)
    assert "sum to 0.5; expected 1 in a component without slots" in refused(sound / 2)
    assert "sum to inf" in refused(torch.where(sound == sound.amax(), torch.inf, sound))
    assert "one_hot" in refused(sound.round().long(), DtypeError)
    assert "a list" in refused(sound.tolist(), DtypeError)
    assert "complex64" in refused(sound + 0j, DtypeError)
    assert "sparse" in refused(sound.to_sparse(), DtypeError)
    assert "complex64" in refused(sound.numpy() + 0j, DtypeError)
    slots = {AttributeKey(0, "Position"): pmf(4, 16, 4)}
    assert len(Scene(3, {TYPE: sound / 2}, slots)) == 4, "in a grid, entities may differ"
    with pytest.raises(VSAError, match="probabilities up to 2"):
        Scene(3, {}, {PLACE: 2 * torch.ones(4, 16, 4)})


@pytest.mark.parametrize("key", [(0,), "Type", 0, (0, 1), (-1, "Type"), ("0", "Type"), (True, "Type"), (0, "Type", 1)])
def test_wrong_keys_are_a_sentence(key):
    assert 'as in (0, "Type")' in refused(pmf(4, 16, 5), DtypeError, key)


def test_parts_that_do_not_fit_are_a_sentence():
    sound, place = pmf(4, 16, 5), AttributeKey(0, "Position")
    for build, words in (
        (lambda: Scene(3, [sound]), "a mapping"),
        (lambda: Scene(3, {TYPE: sound}, None), "a mapping"),
        (lambda: Scene(3.0, {TYPE: sound}), "columns=3.0"),
        (lambda: Scene(3, {TYPE: sound}, {TYPE: sound}), "one of the two"),
        (lambda: Scene(3, {TYPE: sound, (0, "Color"): sound.to("meta")}), "meta"),
        (lambda: Scene(3, {TYPE: sound[..., :0]}), r"\(B, 16, V\)"),
        (lambda: Scene(3, {TYPE: sound}, {}, {TYPE: pmf(4, 16, 4, 5)}), "a set of slots"),
        (lambda: Scene(3, {TYPE: sound}, {place: pmf(4, 16, 4)}, {TYPE: pmf(4, 16, 9, 5)}), r"\(B, 16, 4, 5\)"),
        (lambda: Scene(3, {TYPE: sound}, {place: pmf(4, 16, 4)}, {TYPE: pmf(4, 16, 4, 6)}), r"\(B, 16, 4, 5\)"),
        (lambda: Scene(3, {TYPE: sound})[1], r"a slice, as in scene\[1:\]"),
    ):
        with pytest.raises(VSAError, match=words):
            build()


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.double(),
        lambda x: x.half(),
        lambda x: x.bfloat16(),
        lambda x: x.numpy(),
        lambda x: x.numpy().astype(">f8"),
        lambda x: x.numpy().astype("f2"),
        lambda x: x.numpy()[::-1][::-1],
        lambda x: x.flip(0).numpy()[::-1],
    ],
)
def test_other_forms_of_the_same_are_taken(form):
    sound = torch.eye(5).expand(4, 16, 5, 5)[:, :, 2]
    found = Scene(3, {(np.int64(0), "Type"): form(sound), (0, "Color"): form(pmf(4, 16, 7))})
    assert found.keys == (TYPE, AttributeKey(0, "Color")) and isinstance(found.keys[0], AttributeKey)
    torch.testing.assert_close(found.pmfs[TYPE], sound, check_dtype=False)
    torch.testing.assert_close(found.pmfs[found.keys[1]].sum(-1), torch.ones(4, 16), check_dtype=False)
    assert found.pmfs[TYPE].dtype in (torch.float32, torch.float64)


def test_tensors_come_back_as_they_are_and_arrays_as_copies():
    sound = pmf(4, 16, 5).requires_grad_()
    assert Scene(3, {TYPE: sound}).pmfs[TYPE] is sound
    array = pmf(4, 16, 5).numpy()
    found = Scene(3, {TYPE: array})
    array[:] = np.nan
    found.check()


def test_mixed_precisions_are_one():
    found = Scene(3, {TYPE: pmf(4, 16, 5), (0, "Color"): pmf(4, 16, 5).double()}, {PLACE: pmf(4, 16, 4).half()})
    assert {value.dtype for part in (found.pmfs, found.sets) for value in part.values()} == {torch.float64}
