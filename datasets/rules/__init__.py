"""The rules of RAVEN, one file each; :mod:`datasets.rules.base` says what a rule provides."""

from .base import PUBLISHED, RULES, LinearForm, Rule, rule_code, rule_name, rules_named
from .checking import check_rule
from .consistency import consistent_families, consistent_rules
from .domains import SlotSets, Values

__all__ = [
    "PUBLISHED",
    "RULES",
    "LinearForm",
    "Rule",
    "SlotSets",
    "Values",
    "check_rule",
    "consistent_families",
    "consistent_rules",
    "rule_code",
    "rule_name",
    "rules_named",
]
