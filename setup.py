"""What pyproject.toml cannot say: a wheel holds two folders under names that no other package has.

A plain wheel with a folder ``datasets`` would overwrite Hugging Face's package, and removing ours would then delete
theirs. In an editable install nothing is renamed. See docs/decisions/0003-the-name-datasets.md.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

FIGURES = "benchmarks/reference.yaml"  # published figures, which tables show beside ours
NAMES_IN_WHEEL = {"datasets": "vsa_reasoning_datasets", "conf": "vsa_reasoning_conf"}


class BuildRooms(build_py):
    """Renames folders after they are built."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name, unique in NAMES_IN_WHEEL.items():
            built, renamed = Path(self.build_lib, name), Path(self.build_lib, unique)
            if built.is_dir():
                shutil.rmtree(renamed, ignore_errors=True)  # of an earlier build
                built.rename(renamed)
        shutil.copy(FIGURES, Path(self.build_lib, NAMES_IN_WHEEL["conf"]))


class WheelOfRooms(bdist_wheel):
    """Says in top_level.txt what the wheel holds."""

    def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
        super().egg2dist(egginfo_path, distinfo_path)
        top = Path(distinfo_path, "top_level.txt")
        if top.is_file():
            names = sorted(NAMES_IN_WHEEL.get(name, name) for name in top.read_text(encoding="utf-8").split())
            top.write_text("\n".join(names) + "\n", encoding="utf-8")


setup(cmdclass={"build_py": BuildRooms, "bdist_wheel": WheelOfRooms})
