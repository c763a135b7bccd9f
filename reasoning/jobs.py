"""What a benchmark runs: models with seeds, and where their weights come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reasoning import commands, schema, weights
from reasoning.checkpoints import read_tensors
from reasoning.settings import BenchmarkSettings, Mode, ModelSettings, Named
from vsa.errors import CorruptFileError, SettingsError

__all__ = ["NO_DECODER", "Job", "make_job", "make_jobs"]

NO_DECODER = "none"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")  # of a folder


@dataclass(frozen=True)
class Job:
    """One model with one seed.

    Attributes:
        model: with the mode resolved.
        algebra: that of the checkpoint, if there is one.
        seed: of the run.
        weights: file of the weights; None for programmed rules.
        decoder: how predicted product vectors are decoded before candidates are compared; None: they are not.
        answers: a language model's file of answers; None for a model of ours.
    """

    model: ModelSettings
    algebra: Named
    seed: int
    weights: str | None
    decoder: str | None = None
    answers: str | None = None

    @property
    def name(self) -> str:
        """Of its folder and its rows."""
        return self.model.name + (f"-{self.decoder}" if self.decoder else "")

    @property
    def mode(self) -> str:
        """Where the weights come from; "prompted" of language models."""
        return str(self.model.mode) if self.answers is None else "prompted"


def make_jobs(settings: BenchmarkSettings, arguments: Sequence[str]) -> list[Job]:
    """The models and seeds that a benchmark was asked for.

    Args:
        settings: of the command.
        arguments: the overrides, which tell what the user set from what the files say.

    Returns:
        One job per model, decoder and seed.

    Raises:
        VSAError: a checkpoint that is missing, unfinished or another model's; a mode without its weights.
    """
    jobs = _models_and_seeds(settings, arguments)
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
    return [
        Job(ModelSettings(name), settings.algebra, settings.seed, None, answers=file) for name, file in files.items()
    ]


def _models_and_seeds(settings: BenchmarkSettings, arguments: Sequence[str]) -> list[Job]:
    """Models of ours; none where there are answers alone."""
    named = commands.named_keys(arguments)
    seeds = settings.seeds if settings.seeds is not None else (settings.seed,)
    if settings.answers is not None and settings.compare is None and settings.model is None and not settings.checkpoint:
        return []
    if settings.compare is None:
        given = settings.checkpoint
        if given is not None and not isinstance(given, str):
            raise SettingsError("setting checkpoint", received=repr(given), expected="one run folder")
        return [make_job(settings.algebra, settings.model, given, seed, named) for seed in seeds]
    by_model = settings.checkpoint or {}
    if isinstance(by_model, str):
        raise SettingsError(
            f"checkpoint={by_model}", received="one run for several models", expected="a folder for each",
            hint="write checkpoint={NAME:RUN_DIR}",
        )  # fmt: skip
    schema.refuse_unknown("checkpoint", list(by_model), settings.compare, what="model in")
    jobs = []
    for name in settings.compare:
        composed = commands.compose_settings("benchmark", [f"+model={name}", *_without_model(arguments)])
        model = schema.build(ModelSettings, commands.separate(composed, ModelSettings)["model"], "model")
        jobs += [make_job(settings.algebra, model, by_model.get(name), seed, named) for seed in seeds]
    return jobs


def _without_model(arguments: Sequence[str]) -> list[str]:
    others = ("compare", "checkpoint", "answers", "prompts")
    return [argument for key, argument in commands.named_keys(arguments).items() if key not in others]


def make_job(
    algebra: Named, model: ModelSettings | None, checkpoint: str | None, seed: int, named: Mapping[str, str]
) -> Job:
    """Settle on weights; a checkpoint brings its model's and algebra's settings, which the command line overrides.

    Args:
        algebra: of the settings.
        model: of the settings; None: that of the checkpoint.
        checkpoint: a training run, or None.
        seed: of the run.
        named: what the command line sets, by key.

    Returns:
        The job.

    Raises:
        VSAError: a checkpoint that is missing, unfinished or another model's; a mode without its weights.
    """
    mode = weights.mode_of(model or ModelSettings(""), checkpoint)
    if checkpoint is not None:
        path: Path | None = weights.find_weights(checkpoint)
    else:
        path = weights.shipped_weights(model.name) if model is not None and mode == "pretrained" else None
    if path is None:
        if model is None:
            raise commands.no_model("reasoning.benchmark")  # other commands ask before
        return Job(replace(model, mode=_as_mode(mode)), algebra, seed, None)
    _, header = read_tensors(path)
    try:
        trained = schema.build(ModelSettings, header["model"], "model")
        trained_algebra = schema.build(Named, header["algebra"], "algebra")
    except KeyError as error:
        raise CorruptFileError(
            f"read {path}", received=f"a header without {error}", expected="weights of a run"
        ) from error
    if model is not None and model.name != trained.name:
        raise SettingsError(
            f"checkpoint={checkpoint}", received=f"a run of {trained.name}", expected=f"one of {model.name}"
        )
    options = dict(trained.options)
    if model is not None:
        options |= {k: v for k, v in model.options.items() if f"model.{k}" in named or f"+model.{k}" in named}
    if "algebra" not in named:
        chosen = {k: v for k, v in algebra.options.items() if f"algebra.{k}" in named}
        algebra = replace(trained_algebra, options={**trained_algebra.options, **chosen})
    chosen_mode = mode if mode == "pretrained" else (model.mode if model else None) or trained.mode or mode
    return Job(replace(trained, options=options, mode=_as_mode(chosen_mode)), algebra, seed, str(path))


def _as_mode(mode: str) -> Mode:
    return schema.coerce(Mode, mode, "model.mode")
