"""PMFs and position sets as vectors: expectations of atoms, without a table over position sets."""

import itertools
import logging
from dataclasses import dataclass, field

import pytest
import torch

import vsa
from reasoning.learners.soft.encoder import SceneEncoder
from reasoning.scene import AttributeKey, Scene
from vsa.backends.digital import Digital
from vsa.errors import VSAError

ALGEBRA = vsa.get("gsbc", dim=256, blocks=4)


def flat(atoms):
    return ALGEBRA.spectrum(atoms).flatten(-2)


def test_a_sure_value_is_its_atom_and_atoms_add_under_binding():
    encoder = SceneEncoder(ALGEBRA)
    atoms = flat(encoder.value_codebook(10).atoms)
    encoded = encoder.encode_pmf(torch.eye(10))
    torch.testing.assert_close(encoded, atoms[:10])
    torch.testing.assert_close(encoded[2] * encoded[5], encoded[7], atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded[9] * encoded[3].conj(), encoded[6], atol=1e-5, rtol=0)


def test_a_pmf_is_the_weighted_sum_and_missing_mass_is_the_atom_of_differing_entities():
    encoder = SceneEncoder(ALGEBRA)
    atoms = flat(encoder.value_codebook(5).atoms)
    pmf = torch.tensor([0.1, 0.0, 0.5, 0.1, 0.0])
    expected = (torch.cat([pmf, torch.tensor([0.3])]).unsqueeze(-1) * atoms).sum(0)
    torch.testing.assert_close(encoder.encode_pmf(pmf), expected)


def test_smaller_ranges_share_the_atoms_of_larger_ones():
    encoder = SceneEncoder(ALGEBRA)
    torch.testing.assert_close(encoder.encode_pmf(torch.eye(5)), encoder.encode_pmf(torch.eye(9))[:5])


@pytest.mark.parametrize("slots", [4, 9])
def test_a_set_is_the_expected_binding_of_its_slot_keys(slots):
    encoder = SceneEncoder(ALGEBRA, seed=3)
    keys = flat(encoder.slot_codebook(slots).atoms)
    p = torch.rand(slots, generator=torch.Generator().manual_seed(1))
    expected, mass = torch.zeros_like(keys[0]), 0.0
    for members in itertools.product([False, True], repeat=slots):
        if not any(members):
            continue
        inside = torch.tensor(members)
        probability = float(torch.where(inside, p, 1 - p).prod())
        expected = expected + probability * keys[inside].prod(0)
        mass += probability
    torch.testing.assert_close(encoder.encode_sets(p), expected / mass, atol=1e-5, rtol=0)


def test_disjoint_union_is_binding_and_a_difference_is_unbinding():
    encoder = SceneEncoder(ALGEBRA)
    sets = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]])
    left, right, union = encoder.encode_sets(sets)
    torch.testing.assert_close(left * right, union, atol=1e-5, rtol=0)
    torch.testing.assert_close(union * right.conj(), left, atol=1e-5, rtol=0)


def test_encoding_is_a_function_of_the_seed():
    pmf = torch.rand(4, 7, generator=torch.Generator().manual_seed(0)).softmax(-1)
    first, again, other = (SceneEncoder(ALGEBRA, seed=seed).encode_pmf(pmf) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_scene_becomes_one_tensor_in_the_order_of_its_keys():
    keys, rng = (AttributeKey(0, "Type"), AttributeKey(0, "Position")), torch.Generator().manual_seed(0)
    pmf, occupied = torch.rand(2, 16, 6, generator=rng).softmax(-1), torch.rand(2, 16, 4, generator=rng)
    scene = Scene(3, {keys[0]: pmf}, {keys[1]: occupied})
    encoder = SceneEncoder(ALGEBRA)
    encoded = encoder(scene)
    assert encoded.keys == keys and encoded.spectra.shape == (2, 2, 16, 4 * 33)
    torch.testing.assert_close(encoded.spectra[:, 1], encoder.encode_sets(scene.sets[keys[1]]))
    assert encoded.candidates.shape == (2, 2, 8, 4 * 33)


def test_values_that_share_an_atom_are_said(caplog):
    with caplog.at_level(logging.WARNING):
        SceneEncoder(ALGEBRA).encode_pmf(torch.eye(65))
    assert "differ by 64 share an atom" in caplog.text and "algebra.dim=260" in caplog.text


def test_an_algebra_without_spectra_is_refused():
    with pytest.raises(VSAError, match="algebra=gsbc"):
        SceneEncoder("gsbc")


@dataclass(frozen=True)
class Watched(Digital):
    """Digital, and says what was stored."""

    stored: list = field(default_factory=list)

    def _store(self, atoms, kind, block_length, seed):
        self.stored.append((tuple(atoms.shape), seed))
        return super()._store(atoms, kind, block_length, seed)


def test_every_codebook_is_stored_once_on_the_backend_given():
    backend = Watched()
    encoder = SceneEncoder(ALGEBRA, backend)
    for _ in range(2):
        encoder.encode_pmf(torch.eye(7))
        encoder.encode_sets(torch.eye(4))
        encoder.role_keys(2, torch.device("cpu"))
    width = 2 * 4 * 33
    assert [shape for shape, _ in backend.stored] == [(8, width), (4, width), (2, width)]
    assert len({seed for _, seed in backend.stored}) == 3


def test_slow_frequencies_see_how_far_values_are_apart():
    encoder = SceneEncoder(vsa.get("gsbc", dim=1024, blocks=4), seed=3)
    spectra, turns = encoder.encode_pmf(torch.eye(40)), encoder.turns()
    torch.testing.assert_close((spectra[1] * spectra[0].conj()).angle().abs(), turns, atol=1e-3, rtol=0)
    slow = (turns > 0.01) & (turns < 0.07)  # a turn takes 90 values and more
    alike = torch.einsum("w,vw->v", spectra[0, slow].conj(), spectra[:, slow]).real
    assert bool((alike.diff() < 0).all()), "the farther, the less alike"
