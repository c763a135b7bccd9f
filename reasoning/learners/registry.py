"""Names of the learners; a file of this folder that registers a ``Learner`` is found by itself."""

from __future__ import annotations

from reasoning.learners.base import Learner
from vsa.registry import Registry

LEARNERS: Registry[type[Learner]] = Registry(
    "model",
    package="reasoning.learners",
    entry_points="vsa_reasoning.learners",
    base="reasoning.learners.base:Learner",
)
