"""What every learner offers to the engine and the solver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from datasets.arrays import BOTH, NUMBER, POSITION, UNKNOWN
from datasets.rules.base import PUBLISHED, rules_named
from reasoning.arrays import stored_arrays
from reasoning.scene import AttributeKey, Scene
from vsa import StoredMatrix
from vsa.errors import DtypeError

_EXPLAINED = 0.95  # confidence above which rules count as explaining the complete rows


@dataclass(frozen=True)
class Prediction:
    """Answers and abduced rules of B puzzles.

    Attributes:
        scores: (B, 8); the answer is the arg max. A candidate's score depends on the context and itself alone.
        keys: the A attributes in the order of the tensors below.
        rule_index: long (B, A), the learner's own rule that explains the context best.
        rule_weights: (B, A, R), its probabilities.
        agreement: (B, A, 8), similarity of each candidate with the predicted panel.
        confidence: (B, A), how well the rules explain the two complete rows (mean similarity, 1 is perfect).
        families: int8 (B, A), codes of the rules; UNKNOWN where the learner's own rule computes none of them.
        governed: int8 (B, C), code into ``datasets.GOVERNED`` for each component: what its first rule governs, where
            the learner decides that itself; None where it is to be told from ``confidence``.
    """

    scores: Tensor
    keys: tuple[AttributeKey, ...]
    rule_index: Tensor
    rule_weights: Tensor
    agreement: Tensor
    confidence: Tensor
    families: Tensor
    governed: Tensor | None = None

    @property
    def answers(self) -> Tensor:
        """long (B,): the chosen candidate."""
        return self.scores.argmax(-1)


def join(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of consecutive pieces of a batch as one."""
    first = parts[0]
    whole = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(Prediction)
        if field.name != "keys" and getattr(first, field.name) is not None
    }
    return Prediction(keys=first.keys, **whole)


class Learner(nn.Module):
    """A reasoner over Scenes. Subclasses implement forward, training_loss and describe.

    Attributes:
        learns: whether there is anything to train.
        teaches: whether a front-end can be trained through it: ``training_loss`` is differentiable in the scene.
        mixed: what a panel whose entities differ should show, "shares" or "missing" mass, unless the user says.
        entities: whether the Scene should hold the entities of every slot.
    """

    learns: bool = True
    teaches: bool = True
    mixed: str = "shares"
    entities: bool = False

    def __call__(self, scene: Scene) -> Any:
        """:meth:`forward`, after one look at the scene: what was written into its tensors since it was made is seen.

        Args:
            scene: B puzzles.

        Returns:
            The prediction, as ``forward`` gives it.

        Raises:
            DtypeError: it is no Scene.
            VSAError: what is no probability.
        """
        if not isinstance(scene, Scene):
            raise DtypeError(
                f"learner {type(self).__name__}",
                received=f"a {type(scene).__name__}",
                expected="a reasoning.scene.Scene",
                hint="reasoning.scene.Scene.from_pmfs makes one",
            )
        scene.check()
        return super().__call__(scene)

    def training_loss(self, scene: Scene, target: Tensor, generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch; ``target`` is long (B,), the right candidate."""
        raise NotImplementedError(f"{type(self).__name__} does not learn")

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each epoch: schedules go here."""

    def finish(self, scenes: Iterable[tuple[Scene, Tensor]]) -> None:
        """Called once after the last epoch with the training set: selection and annealing go here."""

    def forward(self, scene: Scene) -> Prediction:
        raise NotImplementedError

    def describe(self) -> list[str]:
        """The rules in words, one sentence each."""
        raise NotImplementedError

    def rule_labels(self) -> list[str]:
        """R short names, in the order of ``Prediction.rule_weights``."""
        return [f"rule {number}" for number, _ in enumerate(self.describe(), start=1)]

    def arrays(self) -> dict[str, list[StoredMatrix]]:
        """The stored codebooks read so far, by what they are read for; everything else is computed digitally."""
        return stored_arrays(self)

    def expected(self, scene: Scene) -> dict[AttributeKey, Tensor]:
        """What the learner expects in the missing panel.

        Args:
            scene: B puzzles.

        Returns:
            For attributes with a PMF (B, V), which sums to at most one (missing mass: entities that differ); for sets
            (B, S) occupancies.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it expects")


def constant_code(grammar: Iterable[str] = PUBLISHED) -> int:
    """The code of the rule under which the panels of a row are alike.

    Args:
        grammar: names of the rules that may be at work.

    Returns:
        The code of the first one that declares itself ``constant``; UNKNOWN where none does.
    """
    return next((rule.code for rule in rules_named(grammar) if rule.constant), UNKNOWN)


def component_rules(prediction: Prediction, component: int, grammar: Iterable[str] = PUBLISHED) -> Mapping[str, Tensor]:
    """Families of one component by rule slot, in the terms of RAVEN's grammar.

    In grids, entities of a panel may differ freely in an attribute, which the grammar calls Constant: so is named
    there what no rule explains. Number and Position share one rule: that of Position if it explains the rows, since
    it implies the numbers, else that of whichever is better explained.

    Args:
        prediction: of B puzzles.
        component: which component.
        grammar: names of the rules that may be at work; says which of them is the constant one.

    Returns:
        rule slot -> int8 (B,) family codes, for the slots whose attributes the layout has; and, where it has
        Number and Position, "governed" -> int8 (B,) code into ``datasets.GOVERNED``.
    """
    columns = {key.name: index for index, key in enumerate(prediction.keys) if key.component == component}
    constant = constant_code(grammar)
    result = {name: prediction.families[:, index] for name, index in columns.items()}
    if "Number" in result and "Position" in result:
        number, position = result.pop("Number"), result.pop("Position")
        if prediction.governed is not None:
            governed = prediction.governed[:, component]
            family = torch.where(governed == POSITION, position, number)
            result["Number/Position"] = torch.where(governed == BOTH, torch.full_like(family, constant), family)
            result["governed"] = governed
            return result
        for name in result:
            free = prediction.confidence[:, columns[name]] < _EXPLAINED
            result[name] = torch.where(free, torch.full_like(number, constant), result[name])
        placed = prediction.confidence[:, columns["Position"]]
        by_position = (placed > _EXPLAINED) | (placed > prediction.confidence[:, columns["Number"]])
        family = torch.where(by_position, position, number)
        governed = torch.where(by_position, POSITION, NUMBER).to(torch.int8)
        # A constant position implies a constant number: one rule, governing both.
        still = (position == constant) & (number == constant)
        result["Number/Position"] = family
        result["governed"] = torch.where(still, torch.full_like(governed, BOTH), governed)
    return result


__all__ = ["AttributeKey", "Learner", "Prediction", "component_rules"]
