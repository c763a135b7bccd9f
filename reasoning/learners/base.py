"""What every learner offers to the engine and the solver."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from datasets.arrays import BOTH, GOVERNED, NUMBER, POSITION, UNKNOWN
from datasets.rules.base import PUBLISHED, rules_named
from reasoning.arrays import stored_arrays
from reasoning.scene import AttributeKey, Scene
from vsa import StoredMatrix
from vsa.errors import DtypeError

EXPLAINED = 0.95  # from which on a confidence counts as explaining the complete rows, and a panel as showing one value
_ROUNDING = 1e-5  # of a score of one or above, in single precision
_LIKELY = 0.5  # mass of "the entities differ" from which on they do; agreement from which on a candidate is as expected


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
        calibrated: what the learner declares of its scores (:class:`Learner`).
    """

    scores: Tensor
    keys: tuple[AttributeKey, ...]
    rule_index: Tensor
    rule_weights: Tensor
    agreement: Tensor
    confidence: Tensor
    families: Tensor
    governed: Tensor | None = None
    calibrated: bool = False

    @property
    def answers(self) -> Tensor:
        """long (B,): the chosen candidate."""
        return self.scores.argmax(-1)

    @property
    def best(self) -> Tensor:
        """bool (B, 8): the candidates with the highest score, but for rounding; several tie."""
        highest = self.scores.amax(-1, keepdim=True)
        slack = _ROUNDING * highest.abs().clamp(1.0, torch.finfo(highest.dtype).max)
        return (self.scores >= highest - slack) | (self.scores == highest)

    @property
    def certainty(self) -> Tensor | None:
        """float64 (B,): the probability that the answer is right, the softmax of the scores; candidates that tie share.

        None where the learner does not declare its scores ``calibrated``. (``confidence`` is that of rules.)
        """
        return None if self.probabilities is None else self.probabilities.amax(-1)

    @property
    def probabilities(self) -> Tensor | None:
        """float64 (B, 8): likewise of each candidate."""
        if not self.calibrated:
            return None
        scores = self.scores.double()
        behind = (scores - scores.amax(-1, keepdim=True)).masked_fill(self.best, 0.0)  # infinities that tie, too
        likely = behind.exp()
        return likely / likely.sum(-1, keepdim=True)


def join(parts: Sequence[Prediction]) -> Prediction:
    """Predictions of consecutive pieces of a batch as one."""
    first = parts[0]
    whole: dict[str, Any] = {
        field.name: torch.cat([getattr(part, field.name) for part in parts])
        for field in fields(Prediction)
        if isinstance(getattr(first, field.name), Tensor)
    }
    return replace(first, **whole)


class Learner(nn.Module):
    """A reasoner over Scenes. Subclasses implement forward, training_loss and describe.

    Attributes:
        learns: whether there is anything to train.
        steps: whether learning goes step by step and needs an epoch at least; otherwise ``finish`` may do all of it.
        teaches: whether a front-end can be trained through it: ``training_loss`` is differentiable in the scene.
        mixed: what a panel whose entities differ should show, "shares" or "missing" mass, unless the user says.
        entities: whether the Scene should hold the entities of every slot.
        sparse: whether ``Scene.pmfs`` may hold SparsePMFs. By default all that takes a scene is given tensors.
        calibrated: whether scores are log likelihoods of "this candidate is the one", up to a constant for each puzzle,
            so that their softmax is the probability that it is right (``Prediction.certainty``); the benchmark then
            counts how often that comes true. Similarities and divergences are none, however large.
    """

    learns: bool = True
    steps: bool = True
    teaches: bool = True
    mixed: str = "shares"
    entities: bool = False
    sparse: bool = False
    calibrated: bool = False

    @classmethod
    def block_length(cls, values: int, columns: int) -> int:
        """Entries that a one-hot block needs where a learner counts in powers of one base, which repeat after it.

        Commands make blocks so long, of fewer blocks, unless the user says how many there are.

        Args:
            values: V, the most that an attribute has.
            columns: n, panels in a row.

        Returns:
            L; 0 where the learner does not mind.
        """
        del values, columns
        return 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("training_loss", "expected"):
            if name in vars(cls):
                setattr(cls, name, _shown(vars(cls)[name]))

    def shown(self, scene: Scene) -> Scene:
        """A scene as this learner reads it: of tensors alone, unless it says that it reads SparsePMFs.

        Args:
            scene: B puzzles.

        Returns:
            The scene; the very same where it is so already.
        """
        return scene if self.sparse else scene.dense()

    def __call__(self, scene: Scene) -> Any:
        """:meth:`forward`, after one look at the scene: what was written into its tensors since it was made is seen.

        Args:
            scene: B puzzles.

        Returns:
            The prediction, as ``forward`` gives it, with what the learner declares of its scores.

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
        found = super().__call__(self.shown(scene))
        told = isinstance(found, Prediction) and found.calibrated != self.calibrated
        return replace(found, calibrated=self.calibrated) if told else found

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


class NoLearner(Learner):
    """Stands where a learner would, behind a front-end that is taught by labels: nothing is learned or answered."""

    learns = False
    entities = True

    def describe(self) -> list[str]:
        return []


def _shown(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a learner that takes a scene first, given what the learner reads."""

    @wraps(method)
    def shown(self: Learner, scene: Scene, *args: Any, **options: Any) -> Any:
        return method(self, self.shown(scene) if isinstance(scene, Scene) else scene, *args, **options)

    return shown


def constant_code(grammar: Iterable[str] = PUBLISHED) -> int:
    """The code of the rule under which the panels of a row are alike.

    Args:
        grammar: names of the rules that may be at work.

    Returns:
        The code of the first one that declares itself ``constant``; UNKNOWN where none does.
    """
    return next((rule.code for rule in rules_named(grammar) if rule.constant), UNKNOWN)


def claim_constant(prediction: Prediction, scene: Scene, mixed: str, grammar: Iterable[str] = PUBLISHED) -> Prediction:
    """Name the constant rule where a learner sees that none other can be at work.

    In grids the entities of a panel may differ freely in an attribute, which RAVEN's grammar calls Constant: every
    other rule gives a panel one value. A learner that means it claims it; nobody does so in its place.

    Args:
        prediction: of B puzzles.
        scene: those puzzles.
        mixed: how the scene shows entities that differ, as the learner asks for it (``Learner.mixed``): mass that is
            "missing" says so itself; "shares" of values may be uncertainty as well, so rules must fail, too, on the
            rows or on all candidates.
        grammar: names of the rules that may be at work.

    Returns:
        The prediction with those families named.
    """
    families, grids = prediction.families.clone(), {key.component for key in scene.sets}
    constant = constant_code(grammar) if grids else UNKNOWN
    for column, key in enumerate(prediction.keys):
        if key.component not in grids or key not in scene.pmfs or key.name in ("Number", "Position"):
            continue
        context = scene.pmfs[key][:, : scene.context_panels]
        if mixed == "missing":
            free = ((1 - context.sum(-1)) > _LIKELY).any(-1)
        else:
            fails = prediction.confidence[:, column] < EXPLAINED
            fails |= prediction.agreement[:, column].amax(-1) < _LIKELY
            free = (context.amax(-1) < EXPLAINED).any(-1) & fails
        families[:, column] = families[:, column].masked_fill(free, constant)
    return replace(prediction, families=families)


def component_rules(prediction: Prediction, component: int, grammar: Iterable[str] = PUBLISHED) -> Mapping[str, Tensor]:
    """Families of one component by rule slot, in the terms of RAVEN's grammar; what is unknown stays so.

    Number and Position share one rule. That of Position if it explains the complete rows and leads to a candidate,
    since it implies the numbers; else that of whichever does so better; unknown where no candidate is so. What has a
    name comes before what explains without one. A rule on both must show on Position: numbers that stay alike while
    entities move are not the grammar's Constant.

    Args:
        prediction: of B puzzles.
        component: which component.
        grammar: names of the rules that may be at work; says which of them is the constant one.

    Returns:
        rule slot -> int8 (B,) family codes, for the slots whose attributes the layout has; and, where it has
        Number and Position, "governed" -> int8 (B,) code into ``datasets.GOVERNED``.
    """
    columns = {key.name: index for index, key in enumerate(prediction.keys) if key.component == component}
    result = {name: prediction.families[:, index] for name, index in columns.items()}
    if "Number" in result and "Position" in result:
        number, position = result.pop("Number"), result.pop("Position")
        if prediction.governed is not None:
            governed = prediction.governed[:, component]
            family = torch.where(governed == NUMBER, number, position)
        else:
            reaches = prediction.agreement.amax(-1)
            sure = torch.minimum(prediction.confidence, reaches)
            placed, counted = sure[:, columns["Position"]], sure[:, columns["Number"]]
            both = torch.tensor(
                [rule.code for rule in rules_named(grammar) if GOVERNED[BOTH] in rule.governs], device=sure.device
            )
            number = number.masked_fill(torch.isin(number, both.to(number)), UNKNOWN)
            by_number = (counted > EXPLAINED) & (number != UNKNOWN) & (position == UNKNOWN)
            by_position = ((placed > EXPLAINED) | (placed >= counted)) & ~by_number
            family = torch.where(by_position, position, number)
            reached = torch.where(by_position, reaches[:, columns["Position"]], reaches[:, columns["Number"]])
            family = family.masked_fill(reached < _LIKELY, UNKNOWN)
            governed = torch.where(by_position, POSITION, NUMBER).to(torch.int8)
            governed = governed.masked_fill(by_position & torch.isin(position, both.to(position)), BOTH)
        result["Number/Position"], result["governed"] = family, governed
    return result


__all__ = [
    "EXPLAINED",
    "AttributeKey",
    "Learner",
    "NoLearner",
    "Prediction",
    "claim_constant",
    "component_rules",
    "join",
]
