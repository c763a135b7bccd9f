"""Perception front-ends, abductive learners, training, benchmark and explanation.

>>> import datasets, reasoning
>>> solver = reasoning.make_solver("symbolic")
>>> reasoning.evaluate(solver, datasets.generate("iraven", "center", n=50, seed=0)).answers.percent
100.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reasoning._rooms import claim_datasets

if TYPE_CHECKING:
    from reasoning.page import evaluate, fit, make_solver, solve_images

__all__ = ["datasets", "evaluate", "fit", "make_solver", "solve_images"]

datasets = claim_datasets()  # before any module here imports it: another package of that name may be installed


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "fit", "make_solver", "solve_images"):
        from reasoning import page

        return getattr(page, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
