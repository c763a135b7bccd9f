"""What a benchmark runs: models with seeds, and where their weights come from.

A file of weights restores all that shaped it: model, front-end, algebra, backend, rows. What the user says otherwise is
applied and said, or refused where it makes no sense.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args

from reasoning import commands, schema, weights
from reasoning.recipe import FrontEnd, Recipe
from reasoning.settings import (
    BenchmarkSettings,
    DatasetSettings,
    Mode,
    ModelSettings,
    Named,
    PerceptionSettings,
    TrainingPerceptionSettings,
)
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from datasets.layout import Layout

__all__ = [
    "NO_DECODER",
    "Job",
    "Wanted",
    "adopt_front_end",
    "adopt_rows",
    "completed",
    "front_end",
    "make_job",
    "make_jobs",
]

log = logging.getLogger(__name__)
NO_DECODER = "none"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")  # of a folder


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


@dataclass(frozen=True)
class Job:
    """One model with one seed.

    Attributes:
        model: with the mode resolved.
        algebra: that of the checkpoint, if there is one.
        backend: that of the checkpoint, if there is one.
        perception: the front-end.
        seed: of the run: of its puzzles, and its name.
        atoms: seed of atoms and initial weights; that of the checkpoint, if there is one.
        weights: file of the weights; None for programmed rules.
        decoder: how predicted product vectors are decoded before candidates are compared; None: they are not.
        answers: a language model's file of answers; None for a model of ours.
        differs: what the user said otherwise than the weights' header, one phrase each.
        variant: the mode, where ``compare`` names it (``arlc-programmed``).
    """

    model: ModelSettings
    algebra: Named
    backend: Named
    perception: FrontEnd
    seed: int
    atoms: int = 0
    weights: str | None = None
    decoder: str | None = None
    answers: str | None = None
    differs: tuple[str, ...] = ()
    variant: str | None = None

    @property
    def name(self) -> str:
        """Of its folder and its rows."""
        return "-".join(filter(None, (self.model.name, self.variant, self.decoder)))

    @property
    def mode(self) -> str:
        """Where the weights come from; "prompted" of language models."""
        return str(self.model.mode) if self.answers is None else "prompted"

    def header(self) -> dict[str, Any] | None:
        """What shapes its results, for records; None of a language model."""
        if self.answers is not None:
            return None
        own = ("model", "algebra", "backend", "mode")
        return {**{name: schema.plain(getattr(self, name)) for name in own}, "seed": self.atoms,
                "perception": self.perception.header(), "differs": list(self.differs)}  # fmt: skip

    def say_differences(self) -> None:
        """Say aloud what the user said otherwise than the header of the weights; once it is known to make sense."""
        if self.differs:
            origin = self.weights or self.perception.weights
            log.warning("%s: applied as the command line says: %s", origin, "; ".join(self.differs))

    def recipe(self, layout: Layout) -> Recipe:
        """All that its solver is made of.

        Args:
            layout: of the puzzles to be solved.

        Returns:
            The recipe.
        """
        return Recipe(
            self.model, self.algebra, self.backend, self.perception, layout, self.mode, self.atoms, self.weights,
            self.decoder, self.differs,
        )  # fmt: skip


def make_jobs(
    settings: BenchmarkSettings, arguments: Sequence[str], columns: Callable[[], int] | None = None
) -> list[Job]:
    """The models and seeds that a benchmark was asked for.

    Args:
        settings: of the command.
        arguments: the overrides, which tell what the user set from what the files say.
        columns: tells n where the settings do not, of files; asked only if it matters.

    Returns:
        One job per model, decoder and seed.

    Raises:
        VSAError: a checkpoint that is missing, unfinished or another model's; a mode without its weights.
    """
    jobs = _models_and_seeds(settings, arguments, columns)
    decoders = (settings.decoder,) if isinstance(settings.decoder, str) else settings.decoder or (NO_DECODER,)
    chosen = [None if name == NO_DECODER else name for name in decoders]
    ours = [replace(job, decoder=decoder) for decoder in chosen for job in jobs]
    return [*ours, *_answer_jobs(settings, [job.name for job in ours])]


def _answer_jobs(settings: BenchmarkSettings, taken: Sequence[str]) -> list[Job]:
    """Language models, by the name given or the file's."""
    given = settings.answers or {}
    files = {Path(given).stem: given} if isinstance(given, str) else dict(given)
    for name in files:
        if not _NAME.fullmatch(name) or name in taken:
            raise SettingsError(
                f"setting answers={{{name}: ...}}", received="a name that is a model of ours, or no name of a folder",
                expected="letters, digits, points and dashes", hint="write answers={NAME: FILE}",
            )  # fmt: skip
    seen = FrontEnd(_named(settings.perception), settings.algebra, settings.backend)
    return [
        Job(ModelSettings(name), settings.algebra, settings.backend, seen, settings.seed, answers=file)
        for name, file in files.items()
    ]


def _models_and_seeds(
    settings: BenchmarkSettings, arguments: Sequence[str], columns: Callable[[], int] | None
) -> list[Job]:
    """Models of ours; none where there are answers alone."""
    said = commands.said(arguments)
    if settings.answers is not None:  # the prompts say what is seen
        said = {**said, "perception": "answers"}
    seeds = settings.seeds if settings.seeds is not None else (settings.seed,)
    if settings.answers is not None and settings.compare is None and settings.model is None and not settings.checkpoint:
        return []
    if settings.compare is None:
        given = settings.checkpoint
        if given is not None and not isinstance(given, str):
            raise SettingsError("setting checkpoint", received=repr(given), expected="one run folder")
        return [make_job(_at(settings, seed), settings.model, given, said, columns) for seed in seeds]
    by_model = settings.checkpoint or {}
    if isinstance(by_model, str):
        raise SettingsError(
            f"checkpoint={by_model}", received="one run for several models", expected="a folder for each",
            hint="write checkpoint={NAME:RUN_DIR}",
        )  # fmt: skip
    schema.refuse_unknown("checkpoint", list(by_model), settings.compare, what="model in")
    jobs = []
    for entry in settings.compare:
        name, mode = _variant(entry)
        chosen = [f"+model={name}"] if mode is None else [f"+model={name}", f"model.mode={mode}"]
        composed = commands.compose_settings("benchmark", [*chosen, *_without_model(arguments)])
        model = schema.build(ModelSettings, commands.separate(composed, BenchmarkSettings)["model"], "model")
        found = [make_job(_at(settings, seed), model, by_model.get(entry), said, columns) for seed in seeds]
        jobs += [replace(job, variant=mode) for job in found]
    return jobs


def _variant(entry: str) -> tuple[str, str | None]:
    """Model and mode of an entry of ``compare``: ``arlc`` or ``arlc-programmed``."""
    name, _, mode = entry.rpartition("-")
    return (name, mode) if name and mode in get_args(Mode) else (entry, None)


def _at(settings: BenchmarkSettings, seed: int) -> BenchmarkSettings:
    """The settings with one of the seeds: what follows ``seed`` by default follows each of them."""
    if seed == settings.seed:
        return settings
    perception = settings.perception
    if perception.options.get("seed") == settings.seed:
        perception = replace(perception, options={**perception.options, "seed": seed})
    return replace(settings, seed=seed, perception=perception)


def _without_model(arguments: Sequence[str]) -> list[str]:
    others = ("compare", "checkpoint", "answers", "prompts")
    return [argument for key, argument in commands.named_keys(arguments).items() if key not in others]


def make_job(
    settings: Wanted,
    model: ModelSettings | None,
    checkpoint: str | None,
    said: Mapping[str, str],
    columns: Callable[[], int] | None = None,
) -> Job:
    """Settle on weights; they bring all that shaped them, which the command line overrides.

    Args:
        settings: of the command.
        model: of the settings; None: that of the checkpoint.
        checkpoint: a training run, or None.
        said: what the user sets, by key (:func:`reasoning.commands.said`).
        columns: tells n where the settings do not.

    Returns:
        The job.

    Raises:
        VSAError: a checkpoint that is missing, unfinished or another model's; a mode without its weights.
    """
    path = _weights_of(settings, model, checkpoint, columns)
    if path is None:
        if model is None:
            raise commands.no_model("reasoning.benchmark")  # other commands ask before
        seen, differs = front_end(settings, None, said)
        resolved = replace(model, mode=model.mode or "programmed")
        return Job(
            resolved, settings.algebra, settings.backend, seen, settings.seed, settings.seed, differs=tuple(differs)
        )  # fmt: skip
    header = weights.read_header(path)
    if header.model is None:
        raise SettingsError(
            f"checkpoint={checkpoint}", received="the weights of a front-end alone", expected="those of a model",
            hint=f"write +model=NAME perception.checkpoint={checkpoint}",
        )  # fmt: skip
    if model is not None and model.name != header.model.name:
        raise SettingsError(
            f"checkpoint={checkpoint}", received=f"a run of {header.model.name}", expected=f"one of {model.name}"
        )
    trained, differs = _settled_model(header.model, model, checkpoint, said)
    algebra, changes = _settled("algebra", header.algebra, settings.algebra, said)
    differs += changes
    backend, changes = _settled("backend", header.backend, settings.backend, said)
    differs += changes
    seen, changes = front_end(settings, (path, header), said)
    differs += changes
    atoms = settings.seed if {"seed", "seeds"} & set(said) else header.seed
    return Job(
        trained, algebra, backend, seen, settings.seed, atoms, str(path), differs=tuple(dict.fromkeys(differs))
    )  # fmt: skip


def _weights_of(
    settings: Wanted, model: ModelSettings | None, checkpoint: str | None, columns: Callable[[], int] | None
) -> Path | None:
    """The file of the weights; None for programmed rules."""
    if checkpoint is not None:
        if model is not None and model.mode == "pretrained":
            raise SettingsError("model.mode=pretrained", received=f"checkpoint={checkpoint}", expected="one of the two")
        return weights.find_weights(checkpoint)
    if model is None:
        return None
    shipped = weights.shipped_weights(model.name)
    if model.mode in ("learned", "programmed_then_learned"):
        raise SettingsError(
            f"model.mode={model.mode}", received="no checkpoint", expected="checkpoint=RUN_DIR of a finished training",
            hint=f"make one with python -m reasoning.train +model={model.name}",
        )  # fmt: skip
    if model.mode == "pretrained" and shipped is None:
        raise SettingsError(
            "model.mode=pretrained", received=f"model {model.name}, which comes without weights",
            expected="model.mode=programmed, or checkpoint=RUN_DIR",
        )  # fmt: skip
    if model.mode == "pretrained" or shipped is None or not _has_program(model):
        return None if model.mode == "programmed" else shipped
    if model.mode == "programmed":
        return None
    # By default the weights that come along, where they are for rows of this length; else the rules written by hand.
    n = settings.dataset.columns if settings.dataset.name != "files" or columns is None else columns()
    return shipped if weights.read_header(shipped).layout.columns == n else None


def _has_program(model: ModelSettings) -> bool:
    from reasoning import learners

    return "mode" in schema.parameters(learners.get(model.name))


def _settled_model(
    trained: ModelSettings, wanted: ModelSettings | None, checkpoint: str | None, said: Mapping[str, str]
) -> tuple[ModelSettings, list[str]]:
    """The model of the weights, with the options that the user names."""
    if wanted is None:
        return trained, []
    chosen = {k: v for k, v in wanted.options.items() if f"model.{k}" in said}
    differs = [
        f"model.{key}={value} (trained with {trained.options.get(key)})"
        for key, value in chosen.items()
        if value != trained.options.get(key)
    ]
    mode = wanted.mode
    if checkpoint is None:
        mode = "pretrained"
    elif mode == "programmed" != trained.mode:
        raise SettingsError(f"model.mode={mode}", received=f"checkpoint={checkpoint}", expected="one of the two")
    resolved = schema.coerce(Mode, mode or trained.mode or "learned", "model.mode")
    return replace(trained, options={**trained.options, **chosen}, mode=resolved), differs


def _settled(section: str, stored: Named, composed: Named, said: Mapping[str, str]) -> tuple[Named, list[str]]:
    """A section of the weights' header, as far as the user does not say otherwise; and what he says."""
    if section in said or f"{section}.name" in said:
        chosen = composed
    else:
        named = {k: v for k, v in composed.options.items() if f"{section}.{k}" in said}
        nested = {key.split(".")[1] for key in said if key.startswith(f"{section}.") and key.count(".") > 1}
        named |= {k: composed.options[k] for k in nested if k in composed.options}
        chosen = Named(stored.name, {**stored.options, **named})
    if chosen.name != stored.name:
        return chosen, [f"{section}={chosen.name} (trained with {stored.name})"]
    every = dict.fromkeys((*stored.options, *chosen.options))
    return chosen, [
        f"{section}.{key}={chosen.options.get(key)} (trained with {stored.options.get(key)})"
        for key in every
        if chosen.options.get(key) != stored.options.get(key)
    ]


def front_end(
    settings: Wanted, weighted: tuple[Path, weights.Header] | None, said: Mapping[str, str]
) -> tuple[FrontEnd, list[str]]:
    """The front-end: that of a file of its own, that of the model's weights, or the one the settings name.

    Args:
        settings: of the command.
        weighted: the file of the model's weights and its header; None where there are none.
        said: what the user sets, by key.

    Returns:
        The front-end, and what the user said otherwise than its weights' header.

    Raises:
        SettingsError: a file without a front-end, or another than the one named.
    """
    wanted = _named(settings.perception)
    own = settings.perception.checkpoint
    if own is not None:
        path = weights.find_weights(own, "perception.checkpoint")
        header = weights.read_header(path)
        if weights.PERCEPTION not in header.parts:
            raise SettingsError(
                f"perception.checkpoint={own}", received="weights without those of a front-end",
                expected="a run, or a file, of a front-end with weights",
            )  # fmt: skip
        if "perception" in said and wanted.name != header.perception.perception.name:
            raise SettingsError(
                f"perception.checkpoint={own}", received=f"the weights of {header.perception.perception.name}",
                expected=f"those of perception={wanted.name}", hint="leave out perception=",
            )  # fmt: skip
        others = {key: argument for key, argument in said.items() if key != "perception"}
        return _restored(settings, path, header, others)
    if weighted is None:
        return FrontEnd(wanted, settings.algebra, settings.backend, settings.seed), []
    return _restored(settings, *weighted, said)


def _restored(
    settings: Wanted, path: Path, header: weights.Header, said: Mapping[str, str]
) -> tuple[FrontEnd, list[str]]:
    stored, wanted = header.perception, _named(settings.perception)
    has_weights = weights.PERCEPTION in header.parts
    base = stored.perception
    if not has_weights and "seed" in wanted.options and "seed" in base.options:
        # Stress and the like are drawn anew in every evaluation; only atoms belong to weights.
        base = replace(base, options={**base.options, "seed": wanted.options["seed"]})
    chosen, differs = _settled("perception", base, wanted, said)
    backend, changes = _settled("backend", stored.backend, settings.backend, said)
    if not has_weights or chosen.name != stored.perception.name:
        return FrontEnd(chosen, settings.algebra, backend, settings.seed), differs
    differs += [change for change in changes if change not in differs]
    return replace(stored, perception=chosen, backend=backend, weights=str(path)), differs


def _named(perception: PerceptionSettings) -> Named:
    return Named(perception.name, perception.options)


S = TypeVar("S", bound=Any)


def completed(arguments: Sequence[str]) -> list[str]:
    """A command line that names what its weights restore, so that every option of it can be set.

    Args:
        arguments: overrides, with ``checkpoint=`` or ``perception.checkpoint=`` or neither.

    Returns:
        The overrides, and the choices of files that the weights imply where the user makes none.

    Raises:
        VSAError: weights that are missing or damaged.
    """
    named = commands.named_keys(arguments)
    if "compare" in named:  # each model has its own
        return list(arguments)
    implied: dict[str, str] = {}
    for setting in ("checkpoint", "perception.checkpoint"):
        given = commands.parse([named[setting]])[0].value() if setting in named else None
        if not isinstance(given, str | int | float) or isinstance(given, bool):
            continue
        header = weights.read_header(weights.find_weights(str(given), setting))
        if setting == "checkpoint":
            implied |= {"algebra": header.algebra.name, "backend": header.backend.name}
            if header.model is not None:
                implied["model"] = header.model.name
        if setting == "checkpoint" or weights.PERCEPTION in header.parts:
            implied["perception"] = header.perception.perception.name
    own = {f"perception.{name}" for name in TrainingPerceptionSettings.__dataclass_fields__ if name != "name"}
    set_inside = {key.partition(".")[0] for key in named if "." in key and key not in own}
    return [
        *(f"{'+' if section == 'model' else ''}{section}={name}" for section, name in implied.items()
          if section not in named and section in set_inside),
        *arguments,
    ]  # fmt: skip


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
    seen, differs = front_end(settings, None, {"backend": "", **said})
    if differs:
        log.warning("perception.checkpoint=%s: applied as the command line says: %s",
                    settings.perception.checkpoint, "; ".join(differs))  # fmt: skip
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
    if checkpoint is None or data.name == "files":
        return settings
    layout = weights.read_header(weights.find_weights(checkpoint)).layout
    rows: dict[str, Any] = {"columns": layout.columns, "maxval": layout.maxval}
    asked = {key: value for key, value in rows.items() if f"dataset.{key}" not in said}
    if layout.maxval is None or ("dataset" in said and data.maxval is None):
        return settings
    if "dataset" not in said and data.name != layout.dataset:
        if layout.dataset == "files":
            return settings
        log.warning("checkpoint=%s: evaluated on dataset=%s, as it was trained", checkpoint, layout.dataset)
        named: Any = layout.dataset  # one that can be generated
        return replace(settings, dataset=replace(data, name=named, confounders=layout.confounders, **asked))
    changed = {key: value for key, value in asked.items() if getattr(data, key) != value}
    if changed:
        words = " ".join(f"dataset.{key}={value}" for key, value in changed.items())
        log.warning("checkpoint=%s: evaluated with %s, as it was trained", checkpoint, words)
    return replace(settings, dataset=replace(data, **changed))
