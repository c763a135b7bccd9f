"""How sure PMFs may be, told without answers: rules explain those contexts best whose PMFs mean what they say."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.rules.base import PUBLISHED
from reasoning.learners.symbolic import Symbolic
from reasoning.scene import AttributeKey, Scene
from vsa.errors import DtypeError, VSAError

__all__ = ["fit_temperature"]

TEMPERATURES = tuple(2.0 ** (step / 2) for step in range(-4, 7))  # 1/4 .. 8


def fit_temperature(
    scene: Scene,
    *,
    floor: float = 0.0,
    grammar: Sequence[str] = PUBLISHED,
    temperatures: Sequence[float] = TEMPERATURES,
) -> dict[AttributeKey, float]:
    """The temperatures at which the rules explain the context panels best.

    PMFs that are too sure exclude what is there, PMFs that are not sure enough let chance explain it: the likelihood of
    the contexts under the generator's rules has its maximum between. Neither answers nor candidates are looked at.

    Args:
        scene: B puzzles; some dozens tell enough.
        floor: that will be given to ``softened`` beside.
        grammar: names of the rules that may be at work.
        temperatures: to choose from.

    Returns:
        attribute -> temperature, for :meth:`Scene.softened` and :meth:`Scene.from_pmfs`. The attributes of a grid have
        one together.

    Raises:
        DtypeError: no Scene.
        VSAError: no puzzle, or no temperature.
    """
    if not isinstance(scene, Scene):
        raise DtypeError("fit_temperature", received=f"a {type(scene).__name__}", expected="a Scene")
    if not len(scene) or not temperatures:
        received = "a scene of no puzzles" if temperatures else "no temperatures"
        raise VSAError("fit_temperature", received=received, expected="at least one")
    model = Symbolic(grammar=grammar)
    best: dict[AttributeKey, tuple[float, float]] = {}
    for temperature in temperatures:
        for keys, evidence in model.context_evidence(scene.softened(temperature, floor)):
            mean = float(evidence.mean())
            for key in keys:
                best[key] = max(best.get(key, (mean, temperature)), (mean, temperature))
    return {key: best[key][1] for key in scene.keys}
