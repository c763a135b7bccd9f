"""The settings of the commands, as frozen dataclasses that refuse what makes no sense.

Each field's comment says what it does; the YAML files of ``conf/`` hold the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from datasets import holdout
from vsa.commands import schema
from vsa.commands.schema import Between, Count, Positive, Seed, Workers
from vsa.errors import SettingsError, closest
from vsa.plugins import origins

if TYPE_CHECKING:
    from datasets.data_sets import DataSet

__all__ = [
    "NO_DECODER",
    "BenchmarkSettings",
    "CheckpointSettings",
    "DatasetSettings",
    "ExplainSettings",
    "Mode",
    "ModelSettings",
    "Named",
    "PerceptionSettings",
    "PerceptionTrainSettings",
    "RunSettings",
    "SolveSettings",
    "TrainSettings",
    "TrainingDatasetSettings",
    "TrainingPerceptionSettings",
    "named",
    "plugins",
]

_TRAINING = ("epochs", "batch_size", "lr", "weight_decay", "schedule")  # what a model may recommend
NO_DECODER = "none"  # in a list of decoders: candidates are scored as usual
Epochs = Annotated[int, Between(0, 10**8)]  # none for what learns from all puzzles at once
Rate = Annotated[float, Between(0, 1000, above=True)]  # of learning: beyond it float32 overflows within steps
Decay = Annotated[float, Between(0, 1000)]  # of weights, or a weight in a sum
Range = Annotated[int, Between(1, 10**6)]  # of values
Executor = Literal["serial", "processes", "ray", "slurm"]
Mode = Literal["learned", "programmed", "programmed_then_learned", "pretrained"]


@dataclass(frozen=True)
class Named:
    """A registered thing and the options of its constructor."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PerceptionSettings(Named):
    """A front-end, and where its weights come from if it has any."""

    # Trained by itself or with another learner: its file or run folder. Null: those of the model's checkpoint.
    checkpoint: str | None = None


@dataclass(frozen=True)
class TrainingPerceptionSettings(PerceptionSettings):
    """A front-end while a model is trained."""

    frozen: bool = False  # its weights stay as they are, and the learner alone is trained
    lr: Rate | None = None  # learning rate of its weights; null: lr
    labels: Decay = 0.0  # weight of the labels' loss, beside that of the answers


@dataclass(frozen=True)
class ModelSettings:
    """Which learner, how its weights come about, and the options of its constructor."""

    name: str
    mode: Mode | None = None
    weights: str | None = None  # which of the weights that come along; null: those for rows of this length
    # What the model recommends; the top-level keys of train.yaml point here.
    training: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hints = {
            name: hint for name, hint in get_type_hints(TrainSettings, include_extras=True).items() if name in _TRAINING
        }
        schema.refuse_unknown("model.training", list(self.training), list(hints))
        for name, value in self.training.items():
            schema.coerce(hints[name], value, f"model.training.{name}")


def named(section: str, values: Any, cls: type[Any] = Named) -> dict[str, Any]:
    """Separate a section's own fields from the options that go to a constructor.

    Args:
        section: the section's key, for messages.
        values: the section as composed: ``name`` and options side by side.
        cls: the dataclass it becomes.

    Returns:
        A mapping for :func:`vsa.commands.schema.build`, options under ``options``.

    Raises:
        SettingsError: the section is no mapping or has no name.
    """
    if not isinstance(values, Mapping) or "name" not in values:
        raise SettingsError(
            f"setting {section}",
            received=repr(values),
            expected=f"a file of conf/{section}, by name",
            hint=f"for example {section}={'NAME' if values is None else values}",
        )
    own = [name for name in cls.__dataclass_fields__ if name != "options"]
    chosen: dict[str, Any] = {key: values[key] for key in own if key in values}
    if isinstance(values.get("options"), Mapping):  # already separated: settings.yaml of a run
        return {**chosen, "options": dict(values["options"])}
    chosen["options"] = {key: value for key, value in values.items() if key not in own}
    return chosen


def plugins(parts: Any, factorizers: str | None = None) -> dict[str, Any]:
    """Whose the parts of a solver are that other packages offer: they shape its results, so the record holds them.

    Args:
        parts: settings with ``model``, ``algebra``, ``backend`` and ``perception``.
        factorizers: the factorizer that decodes, if any.

    Returns:
        As :func:`vsa.plugins.origins`.
    """
    named = {
        "learners": None if getattr(parts, "model", None) is None else parts.model.name,
        "algebras": parts.algebra.name,
        "backends": parts.backend.name,
        "perceptions": parts.perception.name,
        "factorizers": factorizers,
        "datasets": getattr(getattr(parts, "dataset", None), "name", None),
    }
    return origins(named, parts.backend.options)


@dataclass(frozen=True)
class DatasetSettings:
    """Which puzzles."""

    name: str  # of a registered data set, or files
    n: Count | None = None  # puzzles of each set; null: every one (files)
    columns: Annotated[int, Between(3, 1000)] = 3  # panels in a row; I-RAVEN-X only
    maxval: Range | None = None  # largest value; I-RAVEN-X only
    confounders: Annotated[int, Between(0, 10**6)] = 0  # attributes without a rule; I-RAVEN-X only
    path: str | None = None  # folder of npz + xml or JSON files; dataset=files only
    on_error: Literal["raise", "skip"] = "raise"  # skip: damaged files are left out and counted; dataset=files only
    holdout: str | None = None  # ATTRIBUTE/RULE: training never shows the pair, evaluation nothing else
    split: Literal["train", "val", "test", "all"] | None = None  # benchmark: null is test, or every puzzle of files
    cache_dir: str | None = None  # where generated puzzles are kept; null: the user's cache folder
    seed: Seed = 0  # puzzles are a function of this seed, the constellation and their index

    def __post_init__(self) -> None:
        from datasets.data_sets import known_names

        if self.name not in known_names():
            near = closest(self.name, known_names())
            raise SettingsError(
                "setting dataset.name",
                received=repr(self.name),
                expected=f"one of {', '.join(known_names())}",
                hint=f"did you mean {near[0]!r}?" if near else "a data set of your own is registered in DATA_SETS",
            )
        data = self.kind
        if self.holdout is not None:
            holdout.parse(self.holdout, data.rules if data.made else None)
        if data.made == (self.path is not None):
            raise SettingsError(
                f"dataset={self.name}",
                received=f"dataset.path={'null' if self.path is None else self.path}",
                expected="a path with dataset=files, and with it alone",
                hint="write dataset=files dataset.path=DIR",
            )
        if data.made:
            data.check_options(f"dataset={self.name}", self.columns, self.maxval, self.confounders)

    @property
    def kind(self) -> DataSet:
        """What the data set is."""
        from datasets.data_sets import data_set

        return data_set(self.name, "setting dataset")


@dataclass(frozen=True)
class TrainingDatasetSettings(DatasetSettings):
    """Which puzzles to train on, and how many to evaluate."""

    test_n: Count | None = None  # puzzles of each constellation that the trained model answers; null: every one (files)
    test_maxval: tuple[Range, ...] | None = None  # ranges that are evaluated, I-RAVEN-X only; null: maxval

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_maxval is not None and (not self.kind.ranged or not self.test_maxval):
            raise SettingsError(
                "setting dataset.test_maxval",
                received=f"{list(self.test_maxval)} with dataset={self.name}",
                expected="null, or at least one range with dataset=iraven_x or its like",
            )
        if self.split is not None:
            raise SettingsError(
                "setting dataset.split",
                received=repr(self.split),
                expected="null: training takes the split train and evaluation the split test",
                hint="python -m reasoning.benchmark has dataset.split",
            )


@dataclass(frozen=True)
class CheckpointSettings:
    """When the state of a training run is saved."""

    every_seconds: Positive = 60.0
    every_epochs: Count = 1
    keep: Annotated[int, Between(2, 10**6)] = 2


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """A run of training, whatever is trained."""

    seed: Seed  # every random choice descends from it
    dataset: TrainingDatasetSettings
    perception: TrainingPerceptionSettings
    algebra: Named
    backend: Named
    constellation: str | tuple[str, ...] | None  # trained on; null: 2x2, center of I-RAVEN-X, every set of files
    test_constellation: str | tuple[str, ...]  # evaluated on
    epochs: Epochs
    batch_size: Count
    lr: Rate
    weight_decay: Decay
    schedule: Literal["constant", "cosine"]  # of the learning rate, over all steps
    test_batch_size: Count
    threads: Workers  # of torch; part of what makes a run repeatable bit for bit
    device: str
    checkpoints: CheckpointSettings
    out: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        _check_device(self.device)


@dataclass(frozen=True, kw_only=True)
class TrainSettings(RunSettings):
    """``python -m reasoning.train``."""

    model: ModelSettings
    seeds: tuple[Seed, ...] | None = None  # several runs instead of one, each with one of the seeds
    executor: Executor = "serial"  # of several runs
    workers: Workers | None = None  # runs at once; null: one per available core
    abstain: float | None = None  # certainty below which an answer of the evaluation is withheld

    def __post_init__(self) -> None:
        super().__post_init__()
        _different("seeds", self.seeds)
        _check_abstain(self.abstain)


@dataclass(frozen=True, kw_only=True)
class PerceptionTrainSettings(RunSettings):
    """``python -m reasoning.train_perception``: a front-end learns from labels, and is evaluated by them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.perception.frozen:
            raise SettingsError("setting perception.frozen", received="true", expected="false: it is what is trained")


@dataclass(frozen=True)
class BenchmarkSettings:
    """``python -m reasoning.benchmark``."""

    seed: Seed  # every random choice descends from it
    model: ModelSettings | None
    dataset: DatasetSettings
    perception: PerceptionSettings
    algebra: Named
    backend: Named
    constellation: str | tuple[str, ...]
    checkpoint: str | Mapping[str, str] | None  # a training run's folder (with compare: model -> folder)
    answers: str | Mapping[str, str] | None  # a language model's answers: a file, or name -> file
    prompts: str | None  # the prompts that they answer
    compare: tuple[str, ...] | None  # several models instead of +model
    seeds: tuple[Seed, ...] | None  # several seeds instead of seed
    decoder: str | tuple[str, ...] | None  # of predicted product vectors: none, codebook, factorizer or one by name
    test_batch_size: Count
    threads: Workers
    device: str
    executor: Executor
    workers: Workers | None  # of executor=processes; null: one per available core
    abstain: float | None  # certainty below which an answer is withheld
    plot: str | None  # picture of answers and rules
    reliability: str | None  # picture of certainty against accuracy
    out: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        _check_device(self.device)
        _check_abstain(self.abstain)
        asked = next((name for name in ("abstain", "reliability") if getattr(self, name) is not None), None)
        if self.answers is not None and asked is not None:
            raise SettingsError(
                f"setting {asked}",
                received="answers of a language model, which do not say how certain they are",
                expected="models of ours alone",
            )
        for name in ("compare", "seeds", "decoder"):
            chosen = getattr(self, name)
            _different(name, None if isinstance(chosen, str) else chosen)


@dataclass(frozen=True)
class ExplainSettings:
    """``python -m reasoning.explain``."""

    seed: Seed  # every random choice descends from it
    model: ModelSettings | None
    dataset: DatasetSettings
    perception: PerceptionSettings
    algebra: Named
    backend: Named
    constellation: str  # which puzzle set; all: the only one there is
    index: Annotated[int, Between(0, 10**18)]  # place of the puzzle in its set, from 0, in the order of the benchmark
    checkpoint: str | None  # a training run's folder
    test_batch_size: Count  # as the benchmark's: the puzzle is solved among the same others
    threads: Workers
    device: str
    out: str | None
    overwrite: bool

    def __post_init__(self) -> None:
        _check_device(self.device)


@dataclass(frozen=True)
class SolveSettings:
    """``python -m reasoning.solve``."""

    seed: Seed  # every random choice descends from it
    model: ModelSettings | None
    perception: PerceptionSettings
    algebra: Named
    backend: Named
    checkpoint: str | None  # a training run's folder
    layout: str | None  # published or short name; null: recognised from the pixels
    threads: Workers
    device: str
    json: bool  # whether JSON, and nothing else, is written to stdout
    out: str | None  # a picture; of several puzzles a folder
    overwrite: bool

    def __post_init__(self) -> None:
        from datasets import resolve_constellation

        _check_device(self.device)
        if self.layout is not None:
            resolve_constellation(self.layout)

    @property
    def dataset(self) -> DatasetSettings:
        """What tells the length of the rows and the rules that may be at work: pictures are RAVEN's."""
        return DatasetSettings("raven")


def _different(name: str, chosen: tuple[Any, ...] | None) -> None:
    if chosen is not None and (not chosen or len(set(chosen)) != len(chosen)):
        raise SettingsError(f"setting {name}", received=str(list(chosen)), expected="different entries, at least one")


def _check_abstain(abstain: float | None) -> None:
    if abstain is not None:  # the outcome's room loads torch
        from reasoning.outcome.reliability import check_abstain

        check_abstain(abstain)


def _check_device(device: str) -> None:
    if device == "cpu":  # without torch, which takes a second to load
        return
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise SettingsError("setting device", received=repr(device), expected="cpu, cuda or cuda:N")
    if kind == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            "setting device",
            received=repr(device),
            expected="a CUDA device, but none is available",
            hint="use device=cpu",
        )
