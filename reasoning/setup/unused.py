"""Settings that a command line names and that nothing would use: refused, where they would be passed over in silence.

What the files say by default is no mistake; so this looks at what the user names alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vsa.commands import quoted, schema
from vsa.errors import SettingsError

__all__ = ["refuse_unused"]

_PARTS = ("algebra",)  # sections that a model or a front-end may do without; what uses them names them as a parameter
_NO_DECODER = (None, "none")


def refuse_unused(config: str, named: Mapping[str, str], composed: Mapping[str, Any]) -> None:
    """Refuse what is named on the command line and used by nobody.

    Args:
        config: the command.
        named: key -> argument, of the command line.
        composed: the settings.

    Raises:
        SettingsError: an algebra where neither model, front-end nor decoder has one; settings of training for a command
            that does not train; training with a model through which nothing learns.
    """
    model = composed.get("model")
    if config == "train" and isinstance(model, Mapping) and not model.get("training") and _only_judges(model["name"]):
        raise SettingsError(
            f"+model={model['name']}",
            received="python -m reasoning.train",
            expected="a model that learns",
            hint=f"python -m reasoning.benchmark +model={model['name']} evaluates it",
        )
    for key, argument in named.items():
        if config != "train" and (key == "model.training" or key.startswith("model.training.")):
            raise SettingsError(
                f"argument {quoted(argument)}",
                received=f"python -m reasoning.{config}, which does not train",
                expected="python -m reasoning.train",
            )
    if not any(key.partition(".")[0] in _PARTS for key in named):  # nothing to ask the parts about, which load torch
        return
    takers = _takers(composed)
    if takers is None:
        return
    for section in _PARTS:
        if any(section in taken for taken in takers.values()):
            continue
        for key, argument in named.items():
            if key.partition(".")[0] == section:
                raise SettingsError(
                    f"argument {quoted(argument)}",
                    received=f"{' and '.join(takers)}, which use no {section}",
                    expected=f"no {section}",
                    hint="leave it out",
                )


def _only_judges(name: Any) -> bool:
    """Whether neither the model nor anything before it can be trained."""
    from reasoning import learners

    cls = learners.get(name) if name in learners.LEARNERS else None
    return cls is not None and not cls.learns and not cls.teaches


def _takers(composed: Mapping[str, Any]) -> dict[str, Sequence[str]] | None:
    """What each part of a run takes from the framework; None where the parts are not known yet."""
    from reasoning import learners, perception

    chosen, compared = composed.get("model"), composed.get("compare")
    models = [chosen["name"]] if isinstance(chosen, Mapping) else compared if isinstance(compared, list) else []
    seen = composed.get("perception")
    if not models or not isinstance(seen, Mapping) or composed.get("checkpoint") or seen.get("checkpoint"):
        return None  # a checkpoint brings its model and its front-end
    decoders = composed.get("decoder")
    if any(name not in _NO_DECODER for name in (decoders if isinstance(decoders, list) else [decoders])):
        return None
    found: dict[str, Sequence[str]] = {}
    seen_by = [str(seen.get("name"))]
    tables: tuple[tuple[Any, str, list[str]], ...] = (
        (learners.LEARNERS, "model", models),
        (perception.PERCEPTIONS, "perception", seen_by),
    )
    for registry, kind, names in tables:
        for name in names:
            if name not in registry:  # refused where it is made, with the names that exist
                return None
            found[f"{kind} {name}"] = schema.parameters(registry.get(name))
    return found
