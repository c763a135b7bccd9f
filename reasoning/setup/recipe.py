"""All that a solver is made of, and how it is made: what weights keep in their header, and what workers are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.layout import Layout
from reasoning.setup.front_end import FrontEnd
from reasoning.setup.settings import ModelSettings, Named
from vsa.commands import schema
from vsa.errors import CorruptFileError, SettingsError
from vsa.plugins import origins

if TYPE_CHECKING:
    from reasoning.learners.base import Learner
    from reasoning.perception.base import Perception
    from reasoning.solver import Solver

__all__ = ["FrontEnd", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """All that a solver is made of.

    Attributes:
        model: name, options; None: there is a front-end alone.
        algebra: name, options.
        backend: name, options.
        perception: the front-end.
        layout: of the puzzles.
        mode: how the weights come about.
        seed: of atoms and initial weights.
        weights: a file that holds the learner's weights; None: programmed rules, or to be trained.
        decoder: of predicted product vectors; None: the learner scores the candidates itself.
        differs: what the user said otherwise than the weights' header, for the message when they do not fit.
    """

    model: ModelSettings | None
    algebra: Named
    backend: Named
    perception: FrontEnd
    layout: Layout
    mode: str
    seed: int = 0
    weights: str | None = None
    decoder: str | None = None
    differs: tuple[str, ...] = ()

    @property
    def columns(self) -> int:
        """n, panels in a row."""
        return self.layout.columns

    def solver(self, *, training: bool = False) -> Solver:
        """Construct it, weights loaded.

        Args:
            training: whether weights that nothing is known of yet are to be learned; otherwise they are refused.

        Returns:
            Perception and learner, in evaluation mode; its ``recipe`` is this one.

        Raises:
            VSAError: an unknown name or option, weights that do not fit, a front-end whose weights are not known.
        """
        from reasoning.solver import Solver

        front_end = replace(self.perception, layout=self.perception.layout or self.layout)
        seen = _made(front_end, self.columns)
        if not training and front_end.weights is None and any(True for _ in seen.parameters()):
            raise SettingsError(
                f"perception={front_end.perception.name}",
                received="no weights for it, which it has to learn",
                expected="perception.checkpoint=FILE or RUN_DIR, or checkpoint=RUN_DIR of a run that trained it",
                hint=f"train it: python -m reasoning.train_perception perception={front_end.perception.name}",
            )
        solver = Solver(seen, self._learner()).eval()
        solver.recipe = self
        return solver

    def _learner(self) -> Learner:
        from reasoning.learners.base import NoLearner
        from reasoning.setup import build

        if self.model is None:
            return NoLearner()
        learner = build.learner(
            self.model,
            self.algebra,
            self.backend,
            columns=self.columns,
            mode=self.mode,
            seed=self.seed,
            grammar=self.layout.rules,
        )
        if self.weights is not None:
            self._load(learner)
        if self.mode == "pretrained":
            learner.requires_grad_(False)
        if self.decoder:
            learner = build.decoded(learner, self.decoder, self.algebra, self.backend, self.seed)
        return learner

    def _load(self, learner: Any) -> None:
        from reasoning.setup.weights import LEARNER, load_part, read_header

        path = Path(str(self.weights))
        try:
            load_part(learner, path, LEARNER)
        except CorruptFileError as error:
            columns, name = read_header(path).layout.columns, None if self.model is None else self.model.name
            rows = [f"rows of {self.columns} panels (trained on rows of {columns})"] if columns != self.columns else []
            reasons = [*rows, *self.differs]
            if self.mode == "pretrained" and reasons:
                raise SettingsError(
                    f"+model={name}",
                    received=f"{' and '.join(reasons)}, which the weights that come along do not fit",
                    expected="the rows and the settings that they were trained with",
                    hint=f"train others: python -m reasoning.train +model={name}, then checkpoint=RUN_DIR",
                ) from error
            if not reasons:
                raise
            raise SettingsError(
                f"checkpoint={self.weights}",
                received=f"{', '.join(reasons)}, which the weights do not fit",
                expected="what they were trained with",
                hint=str(error),
            ) from error

    def header(self) -> dict[str, Any]:
        """What shapes the result: kept with the weights, and in the records of runs."""
        layout = schema.plain(self.layout)
        return {
            "model": None if self.model is None else {**schema.plain(self.model), "mode": self.mode},
            "algebra": schema.plain(self.algebra),
            "backend": schema.plain(self.backend),
            "perception": self.perception.header(),
            "layout": layout,
            "seed": self.seed,
        }

    def plugins(self) -> dict[str, Any]:
        """Whose the parts are that other packages offer, as :func:`vsa.plugins.origins`."""
        named = {
            "learners": None if self.model is None else self.model.name,
            "algebras": self.algebra.name,
            "backends": self.backend.name,
            "perceptions": self.perception.perception.name,
            "factorizers": self.decoder,
        }
        return origins(named, self.backend.options)

    def save(self, path: Path, weights: Mapping[str, Any], protocol: str) -> None:
        """Write weights, with this recipe as their header.

        Args:
            path: where to.
            weights: name -> tensor, of perception and learner.
            protocol: what they were trained on, in a sentence.

        Raises:
            WriteError: the file could not be written.
        """
        from reasoning.setup.weights import write_weights

        write_weights(path, weights, self, protocol)

    def fingerprint(self) -> str:
        """Hash of everything here, of the weights' content instead of their path."""
        from reasoning.records import runs

        content = schema.plain(self)
        # How it was trained is in the weights, what puzzles it solves is their own hash.
        del content["differs"], content["layout"]
        if self.model is not None:
            del content["model"]["training"]
        content["weights"] = _content(self.weights)
        content["perception"]["weights"] = _content(self.perception.weights)
        return runs.fingerprint(content)


def _content(path: str | None) -> str | None:
    import hashlib

    return None if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _made(front_end: FrontEnd, columns: int) -> Perception:
    """A front-end, weights loaded.

    Args:
        front_end: how it is made.
        columns: n, panels in a row.

    Returns:
        The front-end, in evaluation mode.

    Raises:
        VSAError: an unknown name or option, weights that do not fit.
    """
    from reasoning.setup import build
    from reasoning.setup.weights import PERCEPTION, load_part

    made = build.perception(front_end, columns)
    if front_end.weights is not None:
        load_part(made, Path(front_end.weights), PERCEPTION)
    if front_end.frozen:
        made.requires_grad_(False)
    return made.eval()
