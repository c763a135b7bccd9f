"""The house plan, kept by walking the syntax trees: who may import whom, and what library code never does."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("vsa", "factorizers", "datasets", "reasoning", "conf")
GROUND = ("vsa.axes", "vsa.errors", "vsa.plugins", "vsa.registry", "vsa.seeding")  # standard library only
WORDS = (*GROUND, "vsa.arithmetic", "vsa.laws", "vsa.validation")  # frozen declarations and checks of tensors
ALGEBRA = ("vsa.algebra", "vsa.operations")
CODEBOOK = ("vsa.codebook", "vsa.codebook_files", "vsa.codebook_labels", "vsa.codebook_reads")

# Importer -> what it may import of ours, besides itself. The longest name that fits a module decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "vsa": ("vsa",),  # the public page, and what stands on all of vsa: checks, encoding, nn
    **dict.fromkeys(GROUND, GROUND),
    "vsa.commands": GROUND,
    "vsa.executors": GROUND,
    "vsa.laws": GROUND,
    "vsa.arithmetic": GROUND,
    "vsa.validation": WORDS,
    **dict.fromkeys(ALGEBRA, (*WORDS, *ALGEBRA)),
    "vsa.models": (*WORDS, *ALGEBRA),
    "vsa.backends": WORDS,
    **dict.fromkeys(CODEBOOK, (*WORDS, *ALGEBRA, *CODEBOOK, "vsa.models", "vsa.backends")),
    "factorizers": ("vsa",),
    "datasets": ("vsa.commands", "vsa.errors", "vsa.executors", "vsa.registry", "vsa.seeding"),
    "reasoning": ("vsa", "factorizers", "datasets", "conf"),
    "conf": (),
}

# Started with python -m, or only from there: they may need hydra and rich.
COMMAND_LINES = ("factorizers.capacity", "factorizers.measuring", "factorizers.screen")

NUMPY_RANDOM = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "Philox", "PCG64", "SFC64"}
TORCH_STATE = {"manual_seed", "seed", "set_rng_state", "manual_seed_all", "fork_rng"}
TORCH_DRAW = {"rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "poisson"}
TENSOR_DRAW = {"random_", "normal_", "uniform_", "bernoulli_", "exponential_", "cauchy_", "log_normal_", "geometric_"}
# What torch's own modules draw without a generator is seeded here, and the global state is put back.
SEEDS_AND_PUTS_BACK = "reasoning/records/draws.py"
NO_GENERATOR = {"rand_like", "randn_like", "randint_like", "gumbel_softmax", "dropout"}  # torch offers them none


class Import(NamedTuple):
    """One import: the module it names, where, and how."""

    module: str
    line: int
    relative: bool
    lazy: bool  # in a function, or for the type checker only, or as the name in a table of lazy modules


def modules_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def imports(source: str, module: str, package: bool) -> Iterator[Import]:
    """Every import of a file, `from x import y` as x.y where that is a module; strings that name our modules too."""
    tree = ast.parse(source)
    lazy = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, False, node in lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                home = module.split(".") if package else module.split(".")[:-1]
                home = home[: len(home) - node.level + 1]
                base = ".".join([*home, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(full if is_module(full) else base, node.lineno, bool(node.level), node in lazy)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            ours = re.fullmatch(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+", node.value)
            if ours and is_module(node.value):
                yield Import(node.value, node.lineno, True, True)


def inside(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def wrong_directions(source: str, module: str, package: bool = False) -> list[str]:
    """What a file imports of ours against the plan, and of others where that is restricted."""
    home = max((name for name in MAY_IMPORT if inside(module, (name,))), key=len)
    wrong = []
    for found in imports(source, module, package):
        top = found.module.split(".")[0]
        if top in ROOMS:
            public = home == "factorizers" and top == "vsa" and found.module != "vsa"
            if public or not inside(found.module, (home, *MAY_IMPORT[home])):
                wrong.append(f"{module}:{found.line} imports {found.module}")
            if top == "datasets" == home and not found.relative:
                wrong.append(f"{module}:{found.line} imports {found.module} by name; in datasets: relative")
        elif top not in sys.stdlib_module_names:
            if module in (*GROUND, "vsa") or (package and module in ("vsa.models", "vsa.backends") and not found.lazy):
                wrong.append(f"{module}:{found.line} imports {top}; only the standard library loads with `import vsa`")
            elif home.startswith("vsa") and not (
                top in ("torch", "einops")
                or (top == "safetensors" and found.lazy)
                or (top == "numpy" and found.lazy and module == "vsa.models._bits")  # docs/decisions/0004
                or (top in ("hydra", "omegaconf", "rich", "yaml") and found.lazy and module.startswith("vsa.commands."))
            ):
                wrong.append(f"{module}:{found.line} imports {top}; vsa needs torch and einops alone")
            elif home == "factorizers" and not (
                top in ("torch", "einops") or (top == "matplotlib" and found.lazy) or module in COMMAND_LINES
            ):
                wrong.append(f"{module}:{found.line} imports {top}; factorizers need torch and einops alone")
            elif top == "torch" and home == "datasets" and module != "datasets.loaders":
                wrong.append(f"{module}:{found.line} imports torch; in datasets only loaders.py does")
    return wrong


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of plain names; empty where a call or an index is in the chain: ``torch.Generator().manual_seed``."""
    text = ast.unparse(node)
    return text if re.fullmatch(r"[\w.]+", text) else ""


def forbidden_habits(source: str) -> list[str]:
    """Prints, global random state and ``**kwargs`` in constructors."""
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwarg:
            wrong.append(f"{node.lineno}: a constructor takes **{node.args.kwarg.arg}")
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
        generator = any(keyword.arg == "generator" for keyword in node.keywords)
        if name == "print":
            wrong.append(f"{node.lineno}: print")
        elif re.match(r"(np|numpy)\.random\.", name) and last not in NUMPY_RANDOM:
            wrong.append(f"{node.lineno}: {name} uses numpy's global state")
        elif name.startswith("random.") and last not in ("Random", "SystemRandom"):
            wrong.append(f"{node.lineno}: {name} uses Python's global state")
        elif name.startswith("torch.") and last in TORCH_STATE:
            wrong.append(f"{node.lineno}: {name} sets torch's global state")
        elif name.startswith("torch.") and last in TORCH_DRAW and not generator:
            wrong.append(f"{node.lineno}: {name} without generator=")
        elif isinstance(node.func, ast.Attribute) and last in TENSOR_DRAW and not generator:
            wrong.append(f"{node.lineno}: .{last}() without generator=")
        elif isinstance(node.func, ast.Attribute) and last in NO_GENERATOR:
            wrong.append(f"{node.lineno}: {last} cannot take a generator")
        elif last == "default_rng" and not node.args and not node.keywords:
            wrong.append(f"{node.lineno}: default_rng without a seed")
    return wrong


@pytest.mark.parametrize("room", ROOMS)
def test_imports_follow_the_plan(room: str) -> None:
    wrong = [
        line
        for path in modules_of(room)
        for line in wrong_directions(path.read_text(encoding="utf-8"), name_of(path), path.stem == "__init__")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_library_code_has_no_prints_and_no_global_randomness(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules_of(room)
        if path.relative_to(ROOT).as_posix() != SEEDS_AND_PUTS_BACK
        for line in forbidden_habits(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def test_only_its_own_room_names_the_crossbar() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        if room != "conf"
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".md", ".yaml")
        and "vsa/backends/crossbar" not in path.as_posix()
        and "crossbar" in path.read_text(encoding="utf-8").lower()
    ]
    assert not wrong, "\n".join(wrong)


def test_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests/datasets would shadow the package datasets"


def test_every_room_is_there() -> None:
    """The walks above would pass on an empty folder."""
    for room in ("vsa", "datasets", "reasoning", "conf"):
        assert (ROOT / room / "__init__.py").is_file(), f"{room} is not a package"
    for name in GROUND:
        assert is_module(name)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vsa.errors", "import torch"),
        ("vsa.axes", "from .algebra import Algebra"),
        ("vsa.algebra", "from .backends.base import Backend"),
        ("vsa.algebra", "import numpy"),
        ("vsa.models.gsbc", "from ..backends import digital"),
        ("vsa.backends.digital", "def f():\n    from vsa.models.gsbc import GSBC"),
        ("vsa.backends.digital", "TABLE = {'gsbc': 'vsa.models.gsbc'}"),
        ("vsa.codebook", "import safetensors"),
        ("vsa.codebook", "from reasoning import scene"),
        ("factorizers.base", "from vsa.codebook import Codebook"),
        ("factorizers.base", "def f():\n    import hydra"),
        ("factorizers.result", "import matplotlib"),
        ("datasets.making.raven", "from datasets.arrays import PuzzleArrays"),
        ("datasets.making.raven", "from vsa.algebra import Algebra"),
        ("datasets.making.raven", "import vsa"),
        ("vsa.commands.composing", "import hydra"),
        ("vsa.executors", "def f():\n    import hydra"),
        ("datasets.making.raven", "def f():\n    import torch"),
        ("datasets.making.raven", "from reasoning.scene import Scene"),
        ("conf", "import reasoning.setup.settings"),
    ],
)
def test_the_walk_finds_wrong_imports(module: str, source: str) -> None:
    assert wrong_directions(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vsa.errors", "import difflib"),
        ("vsa.codebook", "def save():\n    from safetensors.torch import save_file"),
        ("vsa.codebook", "from .backends.base import Backend"),
        ("factorizers.base", "from vsa import Codebook"),
        ("factorizers.result", "def plot():\n    import matplotlib.pyplot as plt"),
        ("factorizers.capacity", "import torch\nfrom hydra import main"),
        ("datasets.making.raven", "from .arrays import PuzzleArrays\nfrom vsa.errors import VSAError"),
        ("datasets.loaders", "import torch"),
        ("datasets.generate", "from vsa.commands import compose"),
        ("vsa.commands.composing", "def f():\n    from hydra import compose"),
        ("reasoning.scene", "import torch\nfrom vsa.errors import VSAError\nimport datasets"),
    ],
)
def test_the_walk_allows_right_imports(module: str, source: str) -> None:
    assert not wrong_directions(source, module)


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "np.random.rand(3)",
        "numpy.random.seed(0)",
        "np.random.default_rng()",
        "random.random()",
        "torch.manual_seed(0)",
        "torch.randn(3)",
        "torch.empty(3).normal_()",
        "weights.uniform_(0, 1)",
        "torch.rand_like(x)",
        "class A:\n    def __init__(self, **kwargs): ...",
    ],
)
def test_the_walk_finds_forbidden_habits(source: str) -> None:
    assert forbidden_habits(source)


@pytest.mark.parametrize(
    "source",
    [
        "rng.normal(size=3)",
        "np.random.default_rng(seed)",
        "torch.randn(3, generator=g)",
        "torch.empty(3).normal_(generator=g)",
        "torch.Generator().manual_seed(0)",
        "console.print('x')",
        "def get(name, **options): ...",
    ],
)
def test_the_walk_allows_explicit_generators(source: str) -> None:
    assert not forbidden_habits(source)


ALONE = """
import importlib, importlib.abc, pkgutil, sys
class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r:
            raise ModuleNotFoundError(f"{name} is shut out")
sys.meta_path.insert(0, Only())
import vsa
for module in pkgutil.walk_packages(vsa.__path__, "vsa."):
    importlib.import_module(module.name)
import torch
for name in vsa.ALGEBRAS.names():
    algebra = vsa.get(name, dim=128)
    for dtype in (form.dtypes[0] for form in algebra.forms):
        book = vsa.Codebook.random(algebra, 5, seed=0, dtype=dtype)
        assert book.cleanup(book.atoms).labels == list(range(5)), name
        nearest = algebra.similarity_to_set(book.atoms, book.atoms).argmax(-1)
        assert nearest.tolist() == list(range(5)), name
"""


def test_vsa_works_with_torch_and_einops_alone() -> None:
    """Every module loads and every algebra cleans up where nothing else that we install is to be had."""
    named = re.findall(r'"([\w-]+)>', (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("docs = ")[0])
    modules = {"hydra-core": "hydra", "opencv-python-headless": "cv2"}
    others = {modules.get(name, name.replace("-", "_")) for name in named} - {"torch", "einops", "setuptools"}
    assert {"numpy", "hydra", "safetensors", "scipy", "matplotlib"} <= others
    done = subprocess.run([sys.executable, "-c", ALONE % others], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


# -- rooms: circles, floors, sizes -----------------------------------------------------------------------------------

# Inside reasoning, from the ground up: a room imports only those before it.
FLOORS = (
    "_rooms", "records", "arrays", "sparse", "distributions", "scene", "learners", "perception",
    "outcome", "solver", "setup", "tables",
    "training", "evaluation", "prompting", "solving", "page", "__init__", "benchmarking", "train", "train_perception",
    "benchmark", "explain", "solve", "prompts", "language_models", "inspect_registry",
)  # fmt: skip
MOST = 16  # modules in a folder: a larger one asks for a room inside it
LARGE = ("factorizers", "vsa")  # whose members all belong side by side


def house() -> ModuleType:
    """tests/house.py, which counts."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "tests" / "house.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_imports_in_a_circle() -> None:
    """Lazy imports included."""
    counted = house()
    assert counted.circles(counted.arrows(ROOT)) == []


def test_circles_are_found() -> None:
    found = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    counted = house()
    assert counted.circles(found) == [["a", "b", "c"]]
    assert counted.floors(found) == {"a": 1, "b": 1, "c": 1, "d": 0, "e": 2}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def upward(arrows: dict[str, set[str]]) -> list[str]:
    """Arrows inside reasoning that point to a room above."""
    inside = {module: targets for module, targets in arrows.items() if module.split(".")[0] == "reasoning"}
    return sorted(
        f"{module} imports {target}"
        for module, targets in inside.items()
        for target in targets & inside.keys()
        if FLOORS.index(room_of(target)) > FLOORS.index(room_of(module))
    )


def test_reasoning_is_built_from_the_ground_up() -> None:
    assert upward(house().arrows(ROOT)) == []
    assert upward({"reasoning.scene": {"reasoning.page"}, "reasoning.page": set()}) == [
        "reasoning.scene imports reasoning.page"
    ]


def test_a_large_folder_has_rooms() -> None:
    crowded = {
        folder.relative_to(ROOT).as_posix(): count
        for room in ROOMS
        for folder in ((ROOT / room), *(ROOT / room).rglob("*/"))
        if (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > MOST
    }
    assert set(crowded) <= set(LARGE), crowded


ENOUGH = {  # what a command needs beside --cfg or a wrong key
    "reasoning.train": ["+model=arlc"],
    "reasoning.train_perception": [],
    "reasoning.benchmark": ["+model=arlc"],
    "reasoning.explain": ["+model=arlc"],
    "reasoning.prompts": [],
    "reasoning.solve": [],
    "factorizers.capacity": ["+factorizer=join"],
    "datasets.generate": [],
}


@pytest.mark.parametrize("command", ENOUGH)
@pytest.mark.parametrize("arguments", [["--help"], ["--cfg"], ["typo=3"]], ids=["help", "settings", "wrong key"])
def test_what_a_command_says_at_once_loads_no_torch(command: str, arguments: list[str]) -> None:
    """Loading it takes a second; the help, the settings and the sentence for a wrong key do without."""
    given = arguments if arguments == ["--help"] else [*ENOUGH[command], *arguments]
    code = (
        "import sys\n"
        f"import {command} as command\n"
        f"done = command.main({given!r})\n"
        "assert 'torch' not in sys.modules, 'torch was loaded'\n"
        "sys.exit(done)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "torch was loaded" not in done.stderr
    assert done.returncode == (2 if arguments == ["typo=3"] else 0), done.stderr
    if arguments == ["typo=3"]:
        assert "setting typo: received an unknown key; expected one of " in " ".join(done.stderr.split())
