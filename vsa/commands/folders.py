"""Where the commands find their files: our conf folder and those of other packages, and the published figures.

Another package names its folder by an entry point of the group ``vsa_reasoning.conf``; docs/plugins.md shows one. Ours
is searched first. A file that two of the folders have is refused when a command asks for it, and only then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import SettingsError, VSAError
from ..plugins import CONF, Offer, offers

__all__ = ["OURS", "clashes", "conf_files", "conf_folder", "folders_of_others", "reference_file", "refuse_clash"]

ROOT = Path(__file__).resolve().parents[2]
OURS = "this package"
_WHEEL_NAME = "vsa_reasoning_conf"
log = logging.getLogger(__name__)


def conf_folder(root: Path = ROOT) -> Path:
    """The folder of our settings files.

    Args:
        root: the folder that holds our packages.

    Returns:
        ``conf`` of a checkout, or what a wheel installs.

    Raises:
        VSAError: there is neither.
    """
    for folder in (root / _WHEEL_NAME, root / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise VSAError("find the settings files", received=f"no conf/train.yaml in {root}", expected="a whole installation")


def conf_files(group: str) -> dict[str, list[tuple[str, Path]]]:
    """The settings files of a group.

    Args:
        group: a folder of conf, such as ``model``.

    Returns:
        name -> whose (:data:`OURS`, or a distribution) and which file; several where packages clash, ours first.
    """
    found: dict[str, list[tuple[str, Path]]] = {}
    for whose, folder in ((OURS, conf_folder()), *folders_of_others()):
        for path in sorted((folder / group).glob("*.yaml")):
            found.setdefault(path.stem, []).append((whose, path))
    return dict(sorted(found.items()))


def reference_file(root: Path = ROOT) -> Path:
    """``reference.yaml``: figures of papers and of their authors' code, with conditions and sources.

    Args:
        root: the folder that holds our packages.

    Returns:
        That of a checkout, or what a wheel installs.
    """
    wheel = root / _WHEEL_NAME / "reference.yaml"
    return wheel if wheel.is_file() else root / "benchmarks" / "reference.yaml"


def folders_of_others() -> list[tuple[str, Path]]:
    """The settings folders of other packages: distribution, folder."""
    found = []
    for offer in (offer for part in offers(CONF).values() for offer in part):
        folder = offer.folder()
        if folder is None:
            _say_missing(offer)
        else:
            found.append((offer.distribution, folder))
    return found


_SAID: set[str] = set()


def _say_missing(offer: Offer) -> None:
    if offer.value not in _SAID:
        _SAID.add(offer.value)
        log.warning(
            "the distribution %s names the settings folder %r, which is not there: it does without",
            offer.distribution,
            offer.value,
        )


def clashes() -> Mapping[str, list[tuple[str, Path]]]:
    """Files that two of the folders have: path below conf without its ending -> whose they are."""
    theirs = folders_of_others()
    if not theirs:
        return {}
    found: dict[str, list[tuple[str, Path]]] = {}
    for whose, folder in ((OURS, conf_folder()), *theirs):
        for path in folder.rglob("*.yaml"):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append((whose, path))
    return {name: files for name, files in found.items() if len(files) > 1}


def refuse_clash(name: str, files: Sequence[tuple[str, Path]]) -> None:
    """Refuse a settings file that is there twice.

    Args:
        name: path below conf without its ending.
        files: whose and which.

    Raises:
        SettingsError: there are several.
    """
    if len(files) < 2:
        return
    others = [whose for whose, _ in files if whose != OURS]
    owners = " and ".join(f"{'' if whose == OURS else 'the distribution '}{whose}" for whose, _ in files)
    raise SettingsError(
        f"settings file {name}.yaml",
        received=f"a file that is in {owners}",
        expected="a name of its own for each",
        hint=f"rename the file of {others[-1]}, or uninstall that package",
    )
