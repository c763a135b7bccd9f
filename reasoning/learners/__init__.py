"""Learners: from Scenes to answers and rules. ``learners.get("arlc")`` gives the class."""

from reasoning.learners.base import Learner, Prediction
from reasoning.learners.registry import LEARNERS

get = LEARNERS.get
names = LEARNERS.names

__all__ = ["LEARNERS", "Learner", "Prediction", "get", "names"]
