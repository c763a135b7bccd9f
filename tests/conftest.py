"""Fixtures that every test may name, and the rules of a run: what is skipped, and why."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import tarfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, runtime_checkable

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers share the cores; before torch is loaded

import hypothesis
import numpy as np
import pytest
import torch
from beartype import BeartypeConf
from beartype.claw import beartype_packages
from beartype.roar import BeartypeClawDecorWarning

# The same examples in every run; HYPOTHESIS_PROFILE=default draws new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SLOW_STOPPED: list[str] = []
STARTED = time.monotonic()
ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("vsa", "factorizers", "datasets", "reasoning")


class WrongArgumentType(UserWarning):
    """An argument is not of the annotated type: an error, except where a test expects the call to fail."""


# Annotations are checked under pytest: a wrong result raises, a wrong argument warns, and warnings are errors.
beartype_packages(
    ROOMS,
    conf=BeartypeConf(claw_is_pep526=False, is_pep484_tower=True, violation_param_type=WrongArgumentType),
)


def prepare_annotations() -> None:
    """What the type checker knows and beartype needs: names imported for the checker only; protocols as classes."""
    for room in ROOMS:
        for info in pkgutil.walk_packages([str(ROOT / room)], room + "."):
            with suppress(Exception):  # a module that cannot be imported fails in its own tests, with its own message
                importlib.import_module(info.name)
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] in ROOMS and module.__file__:
            for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                    exec(compile(ast.Module(node.body, []), module.__file__, "exec"), module.__dict__)
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name and getattr(value, "_is_protocol", False):
                    runtime_checkable(value)


def pytest_configure(config: pytest.Config) -> None:
    # A function that names a protocol was seen before the protocol could be checked: beartype says so and leaves it.
    config.addinivalue_line("filterwarnings", f"ignore::{BeartypeClawDecorWarning.__module__}.BeartypeClawDecorWarning")
    warnings.filterwarnings("ignore", category=BeartypeClawDecorWarning)
    prepare_annotations()


@pytest.fixture(scope="session", autouse=True)
def _wrong_types_where_failure_is_expected() -> Iterator[None]:
    """Inside ``pytest.raises`` arguments may have the wrong type: our own errors are what is tested there."""
    raises = pytest.raises

    @contextmanager
    def block(*args: Any, **options: Any) -> Iterator[Any]:
        __tracebackhide__ = True
        with warnings.catch_warnings(), raises(*args, **options) as caught:
            warnings.simplefilter("ignore", WrongArgumentType)
            yield caught

    def lenient(*args: Any, **options: Any) -> Any:
        return block(*args, **options) if len(args) < 2 else raises(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pytest, "raises", lenient)
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-budget",
        type=float,
        default=None,
        metavar="SECONDS",
        help="start no further slow test after this time; those left are reported as not run",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; torch sees none")
    budget = item.config.getoption("--slow-budget")
    if budget is not None and item.get_closest_marker("slow") and time.monotonic() - STARTED > budget:
        SLOW_STOPPED.append(item.nodeid)
        pytest.skip(f"NOT RUN: the budget of {budget:g} s for slow tests is spent")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if SLOW_STOPPED:
        terminalreporter.section(f"NOT RUN: {len(SLOW_STOPPED)} slow tests, their time budget was spent")
        for name in SLOW_STOPPED:
            terminalreporter.line(name)


def load_script(name: str) -> ModuleType:
    """The module ``tests/NAME.py``, which is in no package; loaded once, so that it registers its members once."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def leaky() -> type:
    """The device ``leaky`` of tests/dummy_device.py."""
    return load_script("dummy_device").Leaky


@pytest.fixture
def stand_in() -> Callable[[], Any]:
    """The context of tests/elsewhere.py, inside of which there is a device that is not the CPU."""
    return load_script("elsewhere").elsewhere


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, stand_in: Callable[[], Any]) -> Iterator[torch.device]:
    """Another device than the CPU: one that stands in, and CUDA where there is one."""
    if request.param == "cuda":
        yield torch.device("cuda")
        return
    with stand_in() as place:
        yield place


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that names ``algebra_name`` or ``device_name`` runs once for every registered one, dummies included."""
    if "algebra_name" in metafunc.fixturenames:
        import vsa

        metafunc.parametrize("algebra_name", list(vsa.ALGEBRAS.names()))
    if "device_name" in metafunc.fixturenames:
        from vsa.backends.crossbar import DEVICES

        load_script("dummy_device")
        metafunc.parametrize("device_name", list(DEVICES.names()))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A numpy generator seeded by the test's own name: the same on every run, whatever ran before."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def generator(request: pytest.FixtureRequest) -> torch.Generator:
    """A torch generator on the CPU, seeded by the test's own name."""
    return torch.Generator().manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Installs a package of one module, version 1.5: (name, entry points by group, source) -> the module's name.

    Afterwards the registries have forgotten what they took from it.
    """
    import factorizers
    from datasets.data_sets import DATA_SETS
    from datasets.rules import RULES
    from reasoning import learners, perception
    from vsa import ALGEBRAS, backends, plugins

    tables = (
        ALGEBRAS,
        backends.BACKENDS,
        factorizers.FACTORIZERS,
        perception.PERCEPTIONS,
        learners.LEARNERS,
        DATA_SETS,
        RULES,
    )
    made: list[str] = []

    def install(name: str, groups: dict[str, dict[str, str]], source: str = "", metadata: str | None = None) -> str:
        folder = tmp_path / name
        (folder / f"{name}-1.5.dist-info").mkdir(parents=True)
        (folder / f"{name}.py").write_text(source)
        text = "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
            for group, entries in groups.items()
        )
        (folder / f"{name}-1.5.dist-info" / "entry_points.txt").write_text(text if metadata is None else metadata)
        (folder / f"{name}-1.5.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n"
        )
        monkeypatch.syspath_prepend(str(folder))
        plugins._all.cache_clear()
        made.append(name)
        return name

    yield install
    for table in tables:
        for loaded in table._loaded:
            table._entries.pop(loaded, None)
        table._loaded.clear()
    plugins._all.cache_clear()
    plugins._code.cache_clear()
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def reference_folder() -> Path:
    """The folder that RAVEN_REFERENCE names: puzzles.tar.xz, statistics.json, joint.json."""
    value = os.environ.get("RAVEN_REFERENCE")
    if not value:
        pytest.skip("RAVEN_REFERENCE is not set: no reference data to compare with")
    folder = Path(value).expanduser().resolve()
    missing = [n for n in ("puzzles.tar.xz", "statistics.json", "joint.json") if not (folder / n).is_file()]
    if missing:
        # A variable that points nowhere is a mistake of the caller: to skip would hide it.
        pytest.fail(f"RAVEN_REFERENCE={value} lacks {', '.join(missing)}; unset it or point it to the data")
    return folder


@pytest.fixture(scope="session")
def reference(reference_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference puzzles, unpacked once: folders I-RAVEN, RAVEN, I-RAVEN-json, I-RAVEN-X."""
    target = tmp_path_factory.mktemp("reference")
    with tarfile.open(reference_folder / "puzzles.tar.xz") as archive:
        archive.extractall(target, filter="data")
    return target / "reference"


@pytest.fixture(scope="session")
def reference_statistics(reference_folder: Path) -> dict[str, Any]:
    """statistics.json: frequencies, ranges and histograms of the original generators."""
    return json.loads((reference_folder / "statistics.json").read_text())


@pytest.fixture(scope="session")
def reference_joint(reference_folder: Path) -> dict[str, Any]:
    """joint.json: tables of rule x value of the original generators."""
    return json.loads((reference_folder / "joint.json").read_text())


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache; the tests of one run share a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAVEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("HYDRA_FULL_ERROR", raising=False)  # it turns sentences into tracebacks
        yield


@pytest.fixture(autouse=True)
def _arrays_of_its_own(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test is a run of its own: the errors of its simulated arrays do not depend on the tests before it."""
    from vsa.backends import array_seeds

    with array_seeds(zlib.crc32(request.node.nodeid.encode())):
        yield


@pytest.fixture(autouse=True)
def _no_global_randomness() -> Iterator[None]:
    """A test that moves numpy's or torch's global generator has found a use of it: that fails."""
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), np.random.get_state()[2]  # noqa: NPY002
    yield
    after = torch.get_rng_state(), np.random.get_state()[1], np.random.get_state()[2]  # noqa: NPY002
    same = torch.equal(before[0], after[0]) and (before[1] == after[1]).all() and before[2] == after[2]
    assert same, "this test moved the global random state of torch or numpy; pass a seeded generator"
