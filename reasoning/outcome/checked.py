"""What front-ends and learners return, checked where it leaves them: anybody may write one.

A check looks at shapes, types and extremes; it costs one pass over what was returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reasoning.learners.base import Learner, Prediction
from reasoning.scene import CANDIDATES, Scene
from vsa.errors import DtypeError, ShapeError, VSAError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch
    from reasoning.perception.base import Perception

__all__ = ["check_loss", "check_prediction", "check_scene", "naming"]


@contextmanager
def naming(perception: Perception) -> Iterator[None]:
    """Says which front-end it was that made a scene of what is none."""
    try:
        yield
    except VSAError as error:
        if error.operation.startswith("Scene"):
            error.operation = f"front-end {type(perception).__name__}, {error.operation}"
        raise


def check_scene(scene: Any, perception: Perception, batch: PuzzleBatch) -> Scene:
    """A scene as it leaves a front-end; its probabilities were checked when it was made.

    Args:
        scene: what the front-end returned for the batch.
        perception: the front-end.
        batch: B puzzles.

    Returns:
        The scene itself.

    Raises:
        DtypeError: it is no Scene.
        ShapeError: it shows another number of puzzles, or matrices of another width.
    """
    who = f"front-end {type(perception).__name__}"
    if not isinstance(scene, Scene):
        raise DtypeError(who, received=f"a {type(scene).__name__}", expected="a reasoning.scene.Scene")
    if len(scene) != len(batch) or scene.columns != batch.arrays.columns:
        raise ShapeError(
            who,
            received=f"a scene of {len(scene)} puzzles with {scene.columns} columns",
            expected=f"{len(batch)} puzzles with {batch.arrays.columns} columns, as in the batch",
        )
    return scene


def check_prediction(prediction: Any, learner: Learner, scene: Scene) -> Prediction:
    """A prediction as it leaves a learner.

    Args:
        prediction: what the learner returned for the scene.
        learner: the learner.
        scene: B puzzles.

    Returns:
        The prediction itself.

    Raises:
        DtypeError: it is no Prediction, or a tensor is of the wrong type.
        ShapeError: a tensor does not belong to the B puzzles, the 8 candidates or the A attributes.
        VSAError: a score is NaN, or an attribute is not the scene's.
    """
    who = f"learner {type(learner).__name__}"
    if not isinstance(prediction, Prediction):
        raise DtypeError(
            who, received=f"a {type(prediction).__name__}", expected="a reasoning.learners.base.Prediction"
        )
    keys = tuple(prediction.keys)
    unknown = [key for key in keys if key not in scene.keys]
    if unknown or len(set(keys)) != len(keys):
        raise VSAError(
            f"{who}, keys",
            received=f"{', '.join(map(str, unknown or keys))}",
            expected=f"attributes of the scene, each once: {', '.join(map(str, scene.keys))}",
        )
    puzzles, attributes = len(scene), len(keys)
    components = 1 + max((key.component for key in scene.keys), default=0)
    wanted: dict[str, tuple[str, tuple[int | None, ...], bool]] = {  # letters, sizes (None: any), whether floats
        "scores": ("(B, 8)", (puzzles, CANDIDATES), True),
        "rule_index": ("(B, A)", (puzzles, attributes), False),
        "rule_weights": ("(B, A, R)", (puzzles, attributes, None), True),
        "agreement": ("(B, A, 8)", (puzzles, attributes, CANDIDATES), True),
        "confidence": ("(B, A)", (puzzles, attributes), True),
        "families": ("(B, A)", (puzzles, attributes), False),
        "governed": ("(B, C)", (puzzles, components), False),
    }
    for field in fields(Prediction):
        value = getattr(prediction, field.name)
        if field.name not in wanted or (field.name == "governed" and value is None):
            continue
        letters, sizes, floats = wanted[field.name]
        _check_tensor(f"{who}, {field.name}", value, letters, sizes, floats)
    for name in ("scores", "confidence"):
        value = getattr(prediction, name).detach()
        if bool(value.isnan().any()):
            where = value.isnan().flatten(1).any(1)
            raise VSAError(
                f"{who}, {name}",
                received=f"NaN in {int(where.sum())} of {puzzles} puzzles",
                expected="numbers",
                hint="look for a logarithm of zero or a division by zero",
            )
    return prediction


def check_loss(loss: Any, part: Learner | Perception) -> Tensor:
    """A loss as it leaves a learner or a front-end.

    Args:
        loss: what ``training_loss`` or ``label_loss`` returned.
        part: whose.

    Returns:
        The loss itself.

    Raises:
        DtypeError: it is no tensor of floats, or has no gradient.
        ShapeError: it is no scalar.
    """
    what = "learner {}, training_loss" if isinstance(part, Learner) else "front-end {}, label_loss"
    who = what.format(type(part).__name__)
    _check_tensor(who, loss, "(), a scalar", (), True)
    if not loss.requires_grad:
        raise DtypeError(
            who,
            received="a tensor without gradient",
            expected="one that depends on a weight",
            hint="leave out detach() and torch.no_grad()",
        )
    return loss


def _check_tensor(what: str, value: Any, letters: str, sizes: tuple[int | None, ...], floats: bool) -> None:
    kind = "floats" if floats else "integers"
    if not isinstance(value, Tensor):
        raise DtypeError(what, received=f"a {type(value).__name__}", expected=f"a tensor of {kind}, {letters}")
    if value.is_floating_point() != floats or value.is_complex() or value.dtype == torch.bool:
        raise DtypeError(what, received=f"a tensor of {value.dtype}", expected=kind)
    fits = value.ndim == len(sizes) and all(n in (None, m) for n, m in zip(sizes, value.shape, strict=True))
    if not fits:
        spelled = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ShapeError(
            what, received=f"shape {tuple(value.shape)}", expected=f"{letters}" + (f" = ({spelled})" if sizes else "")
        )
