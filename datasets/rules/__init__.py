"""The rules of RAVEN, one file each; :mod:`datasets.rules.base` says what a rule provides."""

from .base import RULES, LinearForm, Rule, all_rules
from .consistency import consistent_families, consistent_rules
from .domains import SlotSets, Values

__all__ = [
    "RULES",
    "LinearForm",
    "Rule",
    "SlotSets",
    "Values",
    "all_rules",
    "consistent_families",
    "consistent_rules",
]
