"""Finds our package ``datasets`` by its place, since Hugging Face has one of that name.

In a checkout, also an editable one, the folder is called so. A wheel installs it as ``vsa_reasoning_datasets``, and
inside a process that imports ``reasoning`` the name ``datasets`` means it.
See docs/decisions/0003-the-name-datasets.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from vsa.errors import VSAError

__all__ = ["claim_datasets"]

NAME, WHEEL_NAME = "datasets", "vsa_reasoning_datasets"
ROOT = Path(__file__).resolve().parents[1]


def claim_datasets(root: Path = ROOT) -> ModuleType:
    """Makes ``datasets`` in this process ours, whatever lies first on the path.

    Args:
        root: the folder that holds our packages.

    Returns:
        The package.

    Raises:
        VSAError: another package of that name was imported before.
    """
    wheel = root / WHEEL_NAME
    home = wheel if (wheel / "__init__.py").is_file() else root / NAME
    held = sys.modules.get(NAME)
    if held is not None:
        if Path(held.__file__ or ".").resolve().parent == home.resolve():
            return held
        raise VSAError(
            "import reasoning",
            received=f"a package 'datasets' from {held.__file__ or list(held.__path__)}, imported before",
            expected=f"ours in {home}",
            hint="import reasoning first, and use the other package in another process",
        )
    if home == wheel:
        sys.meta_path.insert(0, _Alias())
        return importlib.import_module(NAME)
    found = importlib.util.find_spec(NAME)
    if found is None or found.origin is None or Path(found.origin).resolve().parent != home.resolve():
        sys.path.insert(0, str(root))  # worker processes inherit the path, and import by name what they unpickle
        importlib.invalidate_caches()
    return importlib.import_module(NAME)


class _Alias(MetaPathFinder, Loader):
    """``datasets`` and its modules as second names of the very modules of the wheel's package."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != NAME and not fullname.startswith(f"{NAME}."):
            return None
        real = importlib.util.find_spec(self._real(fullname))
        if real is None:
            return None
        is_package = real.submodule_search_locations is not None
        return ModuleSpec(fullname, self, origin=real.origin, is_package=is_package)

    @staticmethod
    def _real(fullname: str) -> str:
        return WHEEL_NAME + fullname.removeprefix(NAME)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._real(spec.name))
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:  # the import system has put the alias's there: relative imports need the real
            module.__spec__ = module.__spec__.loader_state

    def get_code(self, fullname: str) -> CodeType | None:
        """For ``python -m datasets.generate`` after ``import reasoning``."""
        real = importlib.util.find_spec(self._real(fullname))
        return real.loader.get_code(real.name) if real and real.loader else None  # type: ignore[attr-defined]
