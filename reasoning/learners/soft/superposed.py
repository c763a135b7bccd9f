"""Number and Position of a grid as one attribute: each bound with a key, and averaged.

The superposition is called by the key of its Position. It finds the PMF that is Number by its name:
the published method is built on it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from datasets.arrays import NUMBER, POSITION
from reasoning.learners.base import Prediction
from reasoning.learners.soft.encoder import EncodedScene, SceneEncoder
from reasoning.learners.soft.readout import Readout
from reasoning.learners.soft.scoring import cosine
from reasoning.scene import AttributeKey, Scene
from reasoning.sparse import dense

__all__ = ["governed", "read_parts", "superpose", "superposed", "with_numbers"]

_PRESENT = 0.5  # share of its similarity in a perfect prediction above which Position counts as predicted


def superposed(scene: Scene) -> dict[AttributeKey, AttributeKey]:
    """Position -> Number, of the components that have both."""
    pairs = {key: AttributeKey(key.component, "Number") for key in scene.sets}
    return {position: number for position, number in pairs.items() if number in scene.pmfs}


def superpose(encoder: SceneEncoder, scene: Scene) -> EncodedScene:
    """The panels, Number and Position of a component as one vector; Number n is the atom of n - 1.

    Args:
        encoder: of the parts.
        scene: B puzzles.

    Returns:
        The spectra, without the attributes that are Numbers.
    """
    pairs = superposed(scene)
    shifted = {number: dense(scene.pmfs[number])[..., 1:] for number in pairs.values()}
    ranges = {key: limits for key, limits in scene.ranges.items() if key not in shifted}
    plain: EncodedScene = encoder(replace(scene, pmfs={**scene.pmfs, **shifted}, ranges=ranges))
    spectra = dict(zip(plain.keys, plain.spectra.unbind(1), strict=True))
    for position, number in pairs.items():
        to_position, to_number = encoder.role_keys(2, scene.device)
        spectra[position] = (spectra[position] * to_position + spectra.pop(number) * to_number) / 2
    return replace(plain, keys=tuple(spectra), spectra=torch.stack(list(spectra.values()), dim=1))


def read_parts(readout: Readout, output: Tensor, position: AttributeKey, scene: Scene) -> tuple[Tensor, Tensor]:
    """A superposition's occupancies and Number PMF.

    Args:
        readout: of the encoder that made it.
        output: complex (B, W).
        position: whose.
        scene: tells slots and values.

    Returns:
        (B, S) and (B, V).
    """
    of_position, of_number = (2 * output * key.conj() for key in readout.encoder.role_keys(2, scene.device))
    values = scene.pmfs[superposed(scene)[position]].shape[-1]
    number = torch.nn.functional.pad(readout.pmf(of_number, values - 1), (1, 0))
    return readout.occupied(of_position, scene.sets[position].shape[-1]), number


def governed(encoder: SceneEncoder, predicted: Tensor, position: AttributeKey, scene: Scene, weights: Tensor) -> Tensor:
    """What a rule that was chosen for a superposition governs: Position, where it predicts that part of the rows.

    Args:
        encoder: that made the superposition.
        predicted: complex (B, 2, W), its last panels of the complete rows.
        position: whose.
        scene: B puzzles.
        weights: (W,), how much each frequency counts.

    Returns:
        int8 (B,), codes into ``datasets.GOVERNED``.
    """
    n = scene.columns
    truth = encoder.encode_sets(scene.sets[position][:, n - 1 : 2 * n : n]) * encoder.role_keys(2, scene.device)[0]
    similar = cosine(predicted.unsqueeze(-2), truth.unsqueeze(-2), weights).flatten(1).mean(-1)
    # Half of a perfect prediction's energy is the keyed Position: similarity sqrt(1/2).
    return torch.where(similar > _PRESENT * 0.5**0.5, POSITION, NUMBER).to(torch.int8)


def with_numbers(prediction: Prediction, scene: Scene, kinds: dict[AttributeKey, Tensor]) -> Prediction:
    """A prediction about superpositions as one about Numbers and Positions, which share their rule.

    Args:
        prediction: with superpositions under their Positions' keys.
        scene: B puzzles.
        kinds: Position -> :func:`governed`.

    Returns:
        With one column for each attribute of the scene.
    """
    source = {number: position for position, number in superposed(scene).items()}
    columns = [prediction.keys.index(source.get(key, key)) for key in scene.keys]
    components = max(key.component for key in scene.keys) + 1
    codes = prediction.families.new_zeros(len(scene), components)
    for position, kind in kinds.items():
        codes[:, position.component] = kind
    parts = {
        name: getattr(prediction, name)[:, columns]
        for name in ("rule_index", "rule_weights", "agreement", "confidence", "families")
    }
    return Prediction(prediction.scores, scene.keys, **parts, governed=codes)
