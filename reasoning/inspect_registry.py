"""What Inspect's entry point loads: the tasks of :mod:`reasoning.language_models`, named as in ``reasoning/iraven``."""

from __future__ import annotations

from inspect import unwrap

from inspect_ai import task
from inspect_ai.util import registry_info

from reasoning.language_models import iraven, iraven_x

__all__ = ["iraven", "iraven_x"]

for _made in (iraven, iraven_x):
    # In an editable installation whose distribution is not called like its package, Inspect gives tasks no package.
    if "/" not in registry_info(_made).name:
        task(name=f"reasoning/{registry_info(_made).name}")(unwrap(_made))
