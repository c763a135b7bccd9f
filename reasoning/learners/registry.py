"""Names of the learners; a new one is a file here and a line in ``_MODULES``."""

from __future__ import annotations

from reasoning.learners.base import Learner
from vsa.registry import Registry

_MODULES = {
    "arlc": "reasoning.learners.arlc",
    "learn_vrf": "reasoning.learners.learn_vrf",
    "nvsa": "reasoning.learners.nvsa",
    "symbolic": "reasoning.learners.symbolic",
}

LEARNERS: Registry[type[Learner]] = Registry("model", modules=_MODULES)
