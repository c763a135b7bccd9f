"""What a benchmark runs: models with seeds, and where their weights come from."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reasoning.setup import build, commands, weights
from reasoning.setup.front_end import FrontEnd
from reasoning.setup.recipe import Recipe
from reasoning.setup.restoring import Wanted, front_end, settled, settled_model, without_weights
from reasoning.setup.settings import NO_DECODER, BenchmarkSettings, ModelSettings, Named
from vsa.commands import named_keys, schema
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from datasets.layout import Layout

__all__ = ["Job", "make_job", "make_jobs"]

log = logging.getLogger(__name__)
_BLOCKS = "algebra.blocks"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")  # of a folder


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
        point: of a sweep, by name; empty where nothing is swept.
        sized: whether the user says how many blocks the algebra has; otherwise they are as long as the puzzles need.
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
    point: str = ""
    sized: bool = True

    @property
    def name(self) -> str:
        """Of its folder and its rows."""
        return "-".join(filter(None, (self.model.name, self.variant, self.decoder, self.point)))

    @property
    def label(self) -> str:
        """Of its row in a sweep, in words that can be wrapped."""
        return ", ".join([replace(self, point="").name, *self.point.split(",")])

    @property
    def mode(self) -> str:
        """Where the weights come from; "prompted" of language models."""
        return str(self.model.mode) if self.answers is None else "prompted"

    def header(self) -> dict[str, Any] | None:
        """What shapes its results, for records; None of a language model."""
        if self.answers is not None:
            return None
        own = ("model", "algebra", "backend", "mode")
        return {
            **{name: schema.plain(getattr(self, name)) for name in own},
            "seed": self.atoms,
            "perception": self.perception.header(),
            "differs": list(self.differs),
        }

    def say_differences(self, said: set[str] | None = None) -> None:
        """Say aloud what the user said otherwise than the header of the weights; once it is known to make sense.

        Args:
            said: what other jobs have said already, and need not be said again; it is added to.
        """
        sentence = f"{self.weights or self.perception.weights}: applied as the command line says: "
        sentence += "; ".join(self.differs)
        if self.differs and sentence not in (said or ()):
            log.warning("%s", sentence)
        if said is not None:
            said.add(sentence)

    def recipe(self, layout: Layout) -> Recipe:
        """All that its solver is made of.

        Args:
            layout: of the puzzles to be solved.

        Returns:
            The recipe.
        """
        algebra = self.algebra if self.sized else build.long_enough(self.model.name, self.algebra, layout)
        return Recipe(
            self.model,
            algebra,
            self.backend,
            self.perception,
            layout,
            self.mode,
            self.atoms,
            self.weights,
            self.decoder,
            self.differs,
        )


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
                f"setting answers={{{name}: ...}}",
                received="a name that is a model of ours, or no name of a folder",
                expected="letters, digits, points and dashes",
                hint="write 'answers={NAME: FILE}'",
            )
    seen = FrontEnd(without_weights(settings.perception), settings.algebra, settings.backend)
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
            f"checkpoint={by_model}",
            received="one run for several models",
            expected="a folder for each",
            hint="write 'checkpoint={NAME:RUN_DIR}'",
        )
    schema.refuse_unknown("checkpoint", list(by_model), settings.compare, what="model in")
    jobs = []
    for entry in settings.compare:
        name, mode = commands.model_and_mode(entry)
        chosen = [f"+model={name}"] if mode is None else [f"+model={name}", f"model.mode={mode}"]
        composed = commands.compose_settings("benchmark", [*chosen, *_without_model(arguments)])
        model = schema.build(ModelSettings, commands.separate(composed, BenchmarkSettings)["model"], "model")
        found = [make_job(_at(settings, seed), model, by_model.get(entry), said, columns) for seed in seeds]
        jobs += [replace(job, variant=mode) for job in found]
    return jobs


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
    return [argument for key, argument in named_keys(arguments).items() if key not in others]


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
        said: what the user sets, by key (:func:`reasoning.setup.commands.said`).
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
            resolved,
            settings.algebra,
            settings.backend,
            seen,
            settings.seed,
            settings.seed,
            differs=tuple(differs),
            sized=_BLOCKS in said,
        )
    header = weights.read_header(path)
    if header.model is None:
        raise SettingsError(
            f"checkpoint={checkpoint}",
            received="the weights of a front-end alone",
            expected="those of a model",
            hint=f"write +model=NAME perception.checkpoint={checkpoint}",
        )
    if model is not None and model.name != header.model.name:
        raise SettingsError(
            f"checkpoint={checkpoint}", received=f"a run of {header.model.name}", expected=f"one of {model.name}"
        )
    trained, differs = settled_model(header.model, model, checkpoint, said)
    algebra, changes = settled("algebra", header.algebra, settings.algebra, said)
    differs += changes
    backend, changes = settled("backend", header.backend, settings.backend, said)
    differs += changes
    seen, changes = front_end(settings, (path, header), said)
    differs += changes
    atoms = settings.seed if {"seed", "seeds"} & set(said) else header.seed
    return Job(
        trained,
        algebra,
        backend,
        seen,
        settings.seed,
        atoms,
        str(path),
        differs=tuple(dict.fromkeys(differs)),
        sized=_BLOCKS in said,
    )


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
    n = settings.dataset.columns if settings.dataset.kind.made or columns is None else columns()
    shipped = weights.shipped_weights(model.name, model.weights, n)
    if model.mode in ("learned", "programmed_then_learned"):
        raise SettingsError(
            f"model.mode={model.mode}",
            received="no checkpoint",
            expected="checkpoint=RUN_DIR of a finished training",
            hint=f"make one with python -m reasoning.train +model={model.name}",
        )
    if model.mode == "pretrained" and shipped is None:
        raise SettingsError(
            "model.mode=pretrained",
            received=f"model {model.name}, which comes without weights",
            expected="model.mode=programmed, or checkpoint=RUN_DIR",
        )
    if model.mode == "pretrained" or shipped is None or not _has_program(model):
        return None if model.mode == "programmed" else shipped
    if model.mode == "programmed":
        return None
    # By default the weights that come along, where they are for rows of this length; else the rules written by hand.
    return shipped if weights.read_header(shipped).layout.columns == n else None


def _has_program(model: ModelSettings) -> bool:
    from reasoning import learners

    return "mode" in schema.parameters(learners.get(model.name))
