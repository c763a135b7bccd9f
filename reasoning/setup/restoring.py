"""What weights restore, what the user says otherwise, and what then counts.

A file of weights restores all that shaped it: model, front-end, algebra, backend, rows. What the user says otherwise is
applied and said, or refused where it makes no sense.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from datasets.data_sets import data_set
from reasoning.setup import commands
from reasoning.setup.front_end import FrontEnd
from reasoning.setup.settings import (
    DatasetSettings,
    Mode,
    ModelSettings,
    Named,
    PerceptionSettings,
    TrainingPerceptionSettings,
)
from vsa.commands import named_keys, schema, value_of
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from reasoning.setup.weights import Header

__all__ = [
    "Wanted",
    "adopt_front_end",
    "adopt_rows",
    "completed",
    "front_end",
    "settled",
    "settled_model",
    "without_weights",
]

log = logging.getLogger(__name__)
S = TypeVar("S", bound=Any)


class Wanted(Protocol):
    """The settings that a solver is made of; those of every command that evaluates have them."""

    @property
    def seed(self) -> int: ...
    @property
    def dataset(self) -> DatasetSettings: ...
    @property
    def perception(self) -> PerceptionSettings: ...
    @property
    def algebra(self) -> Named: ...
    @property
    def backend(self) -> Named: ...


def settled_model(
    trained: ModelSettings, wanted: ModelSettings | None, checkpoint: str | None, said: Mapping[str, str]
) -> tuple[ModelSettings, list[str]]:
    """The model of the weights, with the options that the user names."""
    if wanted is None:
        return trained, []
    chosen = {k: v for k, v in wanted.options.items() if f"model.{k}" in said}
    before = Named(trained.name, trained.options)
    differs = _differences("model", before, Named(trained.name, {**trained.options, **chosen}))
    mode = wanted.mode
    if checkpoint is None:
        mode = "pretrained"
    elif mode == "programmed" != trained.mode:
        raise SettingsError(f"model.mode={mode}", received=f"checkpoint={checkpoint}", expected="one of the two")
    resolved = schema.coerce(Mode, mode or trained.mode or "learned", "model.mode")
    return replace(trained, options={**trained.options, **chosen}, mode=resolved), differs


def settled(
    section: str, stored: Named, composed: Named, said: Mapping[str, str], free: Collection[str] = ()
) -> tuple[Named, list[str]]:
    """A section of the weights' header, as far as the user does not say otherwise; and what he says.

    ``free`` are options on which the weights do not depend: they are taken without a word.
    """
    if section in said or f"{section}.name" in said:
        chosen = composed
    else:
        named = {k: v for k, v in composed.options.items() if f"{section}.{k}" in said}
        for key in said:
            head, _, rest = key.partition(".")
            part, _, option = rest.partition(".")
            if head == section and option and part in composed.options:
                named[part] = _merged(named.get(part, stored.options.get(part)), composed.options[part], option)
        chosen = Named(stored.name, {**stored.options, **named})
    if chosen.name != stored.name:
        return chosen, [f"{section}={chosen.name} (trained with {stored.name})"]
    before, after = ({k: v for k, v in one.options.items() if k not in free} for one in (stored, chosen))
    return chosen, _differences(section, Named(stored.name, before), Named(chosen.name, after))


def _differences(section: str, stored: Named, chosen: Named) -> list[str]:
    """One phrase for each option that differs; one that is not there has the constructor's default."""
    if stored.options == chosen.options:
        return []
    default = commands.constructor_options(section, stored.name)
    return _phrases(section, stored.name, stored.options, chosen.options, default)


def _phrases(
    where: str, name: str, stored: Mapping[str, Any], chosen: Mapping[str, Any], default: Mapping[str, Any]
) -> list[str]:
    found = []
    for key in dict.fromkeys((*stored, *chosen)):
        old, new = stored.get(key, default.get(key)), chosen.get(key, default.get(key))
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if old.get("name") == new.get("name"):  # the same part with other options
                own = commands.part_options(where, name, key, str(old.get("name"))) if "." not in where else {}
                found += _phrases(f"{where}.{key}", str(old.get("name")), old, new, own)
                continue
            old, new = old.get("name", old), new.get("name", new)
        if old != new:
            found.append(f"{where}.{key}={new} (trained with {old})")
    return found


def _merged(stored: Any, composed: Any, option: str) -> Any:
    """A part of the header with one option of the command line, where both are the same part."""
    if not isinstance(stored, Mapping) or not isinstance(composed, Mapping):
        return composed
    if stored.get("name") != composed.get("name") or option not in composed:
        return composed
    return {**stored, option: composed[option]}


def _implied_parts(section: str, stored: Named, named: Mapping[str, str]) -> list[str]:
    """Names of parts that weights restore and whose options the user sets: ``backend.device.name=pcm``."""
    if section in named or f"{section}.name" in named:
        return []
    found = []
    for part, value in stored.options.items():
        key = f"{section}.{part}"
        if key in named or f"{key}.name" in named or not isinstance(value, Mapping) or "name" not in value:
            continue
        if any(other.startswith(f"{key}.") for other in named):
            found.append(f"{key}.name={value['name']}")
    return found


def front_end(
    settings: Wanted, weighted: tuple[Path, Header] | None, said: Mapping[str, str], *, evaluating: bool = True
) -> tuple[FrontEnd, list[str]]:
    """The front-end: that of a file of its own, that of the model's weights, or the one the settings name.

    Where nothing else says so, the weights that come along with the package are taken; a training begins without.

    Args:
        settings: of the command.
        weighted: the file of the model's weights and its header; None where there are none.
        said: what the user sets, by key.
        evaluating: whether it is to see with the weights that come along, if there are any for its options.

    Returns:
        The front-end, and what the user said otherwise than its weights' header.

    Raises:
        SettingsError: a file without a front-end, or another than the one named.
    """
    wanted = without_weights(settings.perception)
    own = settings.perception.checkpoint
    from reasoning.setup import weights  # loads torch

    shipped = None
    if own == weights.SHIPPED or (own is None and evaluating and not _brings_front_end(weighted)):
        shipped = weights.shipped_front_end(wanted)
        if own is not None and shipped is None:
            raise SettingsError(
                f"perception.checkpoint={own}",
                received=f"perception={wanted.name} with options for which no weights come along",
                expected="a run folder or a file",
                hint=f"train it: python -m reasoning.train_perception perception={wanted.name}",
            )
    if own is not None or shipped is not None:
        path = shipped or weights.find_weights(str(own), "perception.checkpoint")
        header = weights.read_header(path)
        if weights.PERCEPTION not in header.parts:
            raise SettingsError(
                f"perception.checkpoint={own}",
                received="weights without those of a front-end",
                expected="a run, or a file, of a front-end with weights",
            )
        if "perception" in said and wanted.name != header.perception.perception.name:
            raise SettingsError(
                f"perception.checkpoint={own}",
                received=f"the weights of {header.perception.perception.name}",
                expected=f"those of perception={wanted.name}",
                hint="leave out perception=",
            )
        others = {key: argument for key, argument in said.items() if key != "perception"}
        return _restored(settings, path, header, others)
    if weighted is None:
        return FrontEnd(wanted, settings.algebra, settings.backend, settings.seed), []
    return _restored(settings, *weighted, said)


def _brings_front_end(weighted: tuple[Path, Header] | None) -> bool:
    """Whether a model's weights have a front-end's beside them."""
    from reasoning.setup import weights  # loads torch

    return weighted is not None and weights.PERCEPTION in weighted[1].parts


def _restored(settings: Wanted, path: Path, header: Header, said: Mapping[str, str]) -> tuple[FrontEnd, list[str]]:
    from reasoning import perception as front_ends
    from reasoning.setup import weights  # loads torch

    stored, wanted = header.perception, without_weights(settings.perception)
    has_weights = weights.PERCEPTION in header.parts
    base = stored.perception
    if not has_weights and "seed" in wanted.options and "seed" in base.options:
        # Stress and the like are drawn anew in every evaluation; only atoms belong to weights.
        base = replace(base, options={**base.options, "seed": wanted.options["seed"]})
    free = front_ends.get(base.name).free_options if base.name in front_ends.PERCEPTIONS else ()
    chosen, differs = settled("perception", base, wanted, said, free)
    backend, changes = settled("backend", stored.backend, settings.backend, said)
    if not has_weights or chosen.name != stored.perception.name:
        return FrontEnd(chosen, settings.algebra, backend, settings.seed), differs
    differs += [change for change in changes if change not in differs]
    return replace(stored, perception=chosen, backend=backend, weights=str(path)), differs


def without_weights(perception: PerceptionSettings) -> Named:
    """A front-end's name and options, without the place of its weights."""
    return Named(perception.name, perception.options)


def completed(arguments: Sequence[str]) -> list[str]:
    """A command line that names what its weights restore, so that every option of it can be set.

    Args:
        arguments: overrides, with ``checkpoint=`` or ``perception.checkpoint=`` or neither.

    Returns:
        The overrides, and the choices of files that the weights imply where the user makes none.

    Raises:
        VSAError: weights that are missing or damaged.
    """
    named = named_keys(arguments)
    if "compare" in named:  # each model has its own
        return list(arguments)
    implied: dict[str, str] = {}
    parts: list[str] = []
    for setting in ("checkpoint", "perception.checkpoint"):
        given = value_of(named[setting]) if setting in named else None
        if not isinstance(given, str | int | float) or isinstance(given, bool):
            continue
        from reasoning.setup import weights  # loads torch

        if setting == "perception.checkpoint" and given == weights.SHIPPED:
            continue
        header = weights.read_header(weights.find_weights(str(given), setting))
        if setting == "checkpoint":
            implied |= {"algebra": header.algebra.name, "backend": header.backend.name}
            parts += [
                *_implied_parts("algebra", header.algebra, named),
                *_implied_parts("backend", header.backend, named),
            ]
            if header.model is not None:
                implied["model"] = header.model.name
        if setting == "checkpoint" or weights.PERCEPTION in header.parts:
            implied["perception"] = header.perception.perception.name
    own = {f"perception.{name}" for name in TrainingPerceptionSettings.__dataclass_fields__ if name != "name"}
    set_inside = {key.partition(".")[0] for key in named if "." in key and key not in own}
    return [
        *(
            f"{'+' if section == 'model' else ''}{section}={name}"
            for section, name in implied.items()
            if section not in named and section in set_inside
        ),
        *parts,
        *arguments,
    ]


def adopt_front_end(settings: S, said: Mapping[str, str]) -> S:
    """Settings that say what front-end ``perception.checkpoint`` holds, with what the user says otherwise.

    Args:
        settings: of a training.
        said: what the user sets, by key.

    Returns:
        The settings, the front-end's name and options filled in.

    Raises:
        SettingsError: a file without a front-end, or another than the one named.
    """
    if settings.perception.checkpoint is None:
        return settings
    seen, differs = front_end(settings, None, {"backend": "", **said}, evaluating=False)
    if differs:
        log.warning(
            "perception.checkpoint=%s: applied as the command line says: %s",
            settings.perception.checkpoint,
            "; ".join(differs),
        )
    own = replace(settings.perception, name=seen.perception.name, options=seen.perception.options)
    return replace(settings, perception=own)


def adopt_rows(settings: S, checkpoint: str | None, said: Mapping[str, str]) -> S:
    """Settings whose generated puzzles have the rows and the range that a model was trained with.

    Args:
        settings: of a command that evaluates.
        checkpoint: a training run, or None.
        said: what the user sets, by key; what he says of the data set stays.

    Returns:
        The settings, changed where the model's rows or range differ from what would be generated.

    Raises:
        VSAError: a checkpoint that is missing or damaged.
    """
    data: DatasetSettings = settings.dataset
    if checkpoint is None or not data.kind.made:
        return settings
    from reasoning.setup import weights  # loads torch

    layout = weights.read_header(weights.find_weights(checkpoint)).layout
    rows: dict[str, Any] = {"columns": layout.columns, "maxval": layout.maxval}
    asked = {key: value for key, value in rows.items() if f"dataset.{key}" not in said}
    if layout.maxval is None or ("dataset" in said and data.maxval is None):
        return settings
    if "dataset" not in said and data.name != layout.dataset:
        if not data_set(layout.dataset, "checkpoint").made:
            return settings
        log.warning("checkpoint=%s: evaluated on dataset=%s, as it was trained", checkpoint, layout.dataset)
        named: Any = layout.dataset  # one that can be generated
        return replace(settings, dataset=replace(data, name=named, confounders=layout.confounders, **asked))
    changed = {key: value for key, value in asked.items() if getattr(data, key) != value}
    if changed:
        words = " ".join(f"dataset.{key}={value}" for key, value in changed.items())
        log.warning("checkpoint=%s: evaluated with %s, as it was trained", checkpoint, words)
    return replace(settings, dataset=replace(data, **changed))
