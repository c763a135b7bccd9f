"""The fake learner, for tests of the engine and of the commands; scenes with other candidates."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest
from torch import Tensor

from reasoning.scene import CANDIDATES, AttributeKey, Scene

Part = Mapping[AttributeKey, Tensor]
_SCRIPT = Path(__file__).with_name("fake_learner.py")


def _module(path: Path) -> ModuleType:
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The module tests/reasoning/fake_learner.py; importing it registers the model ``fake``."""
    return _module(_SCRIPT)


@pytest.fixture(scope="session")
def foggy() -> ModuleType:
    """The module tests/reasoning/fake_front_end.py; importing it registers the front-end ``foggy``."""
    return _module(_SCRIPT.with_name("fake_front_end.py"))


@pytest.fixture
def fake_script() -> Path:
    """The same file, to be run as a program."""
    return _SCRIPT


@pytest.fixture
def command(fake: ModuleType, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process, with the model ``fake`` known: (exit code, stdout, stderr)."""
    import torch

    from reasoning import benchmark, explain, prompts, train
    from vsa.commands import screen

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        module = {"train": train, "benchmark": benchmark, "explain": explain, "prompts": prompts}[name]
        given = list(arguments)
        if not any("resume=" in argument or "hydra.searchpath" in argument for argument in given):
            given.append(f"hydra.searchpath=[file://{fake.CONF}]")
        threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        screen._console.cache_clear()  # its streams are those of another test
        capsys.readouterr()
        try:
            code = module.main(given)
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def replace_candidates() -> Callable[[Scene, Scene, int], Scene]:
    """Makes a scene in which all candidates but one are those of another scene."""

    def replaced(scene: Scene, other: Scene, keep: int) -> Scene:
        others = [scene.context_panels + candidate for candidate in range(CANDIDATES) if candidate != keep]

        def change(mine: Part, theirs: Part) -> Part:
            result = {key: value.clone() for key, value in mine.items()}
            for key, value in result.items():
                value[:, others] = theirs[key][:, others]
            return result

        parts = (change(getattr(scene, name), getattr(other, name)) for name in ("pmfs", "sets", "entities"))
        return Scene(scene.columns, *parts)

    return replaced
