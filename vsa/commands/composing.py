"""Where the commands find their settings files: our conf folder, and those of other packages. hydra is loaded lazily.

Another package names its folder by an entry point of the group ``vsa_reasoning.conf``; docs/plugins.md shows one. Ours
is searched first. A file that two of the folders have is refused when a command asks for it, and only then.
"""

from __future__ import annotations

import inspect
import json
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import SettingsError, VSAError
from .plugins import CONF, Offer, offers

__all__ = ["compose", "composing", "conf_files", "conf_folder", "constructor_defaults"]

ROOT = Path(__file__).resolve().parents[1]
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
    for whose, folder in ((OURS, conf_folder()), *_theirs()):
        for path in sorted((folder / group).glob("*.yaml")):
            found.setdefault(path.stem, []).append((whose, path))
    return dict(sorted(found.items()))


@contextmanager
def composing() -> Iterator[Any]:
    """hydra with our settings files and those of other packages, leaving nothing global behind; may be entered twice.

    Yields:
        hydra's config loader.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
        return
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        path = loader.get_search_path()
        for whose, folder in _theirs():
            path.prepend(whose, f"file://{folder}", anchor="schema")  # behind ours; hydra wants its schemas last
        loader.repository.initialize_sources(path)
        yield loader


def compose(
    config: str, overrides: Sequence[str], defaults: Callable[[str, str], Mapping[str, Any] | None] | None = None
) -> Any:
    """Compose settings.

    Args:
        config: a file of conf, such as ``train``.
        overrides: as hydra wants them.
        defaults: asked for the settings of a (group, name) that has no file: those of a member that comes without one,
            or None.

    Returns:
        The settings, an omegaconf.DictConfig, not interpolated.

    Raises:
        SettingsError: a file that is asked for is there twice.
        HydraException: hydra refuses them; OmegaConfBaseException and ValueError are among its refusals, too.
    """
    import hydra
    from hydra.errors import MissingConfigException
    from hydra.types import RunMode

    with composing() as loader:
        clashes = _clashes()
        try:
            if clashes:
                listed = loader.compute_defaults_list(config, list(overrides), RunMode.RUN)
                for chosen in (str(default.config_path) for default in listed.defaults):
                    if chosen in clashes:
                        _refuse_clash(chosen, clashes[chosen])
            return hydra.compose(config, overrides=list(overrides))
        except MissingConfigException as error:
            group, _, name = (error.missing_cfg_file or "").partition("/")
            content = defaults(group, name) if defaults and name.isidentifier() else None
            if content is None:
                raise
            with _generated(loader, group, name, content):
                return compose(config, overrides, defaults)


def constructor_defaults(cls: type[Any], supplied: Collection[str]) -> dict[str, Any]:
    """The options of a class as a settings file would say them: parameters whose default is plain.

    Args:
        cls: of a member.
        supplied: parameters that are no options, since the framework gives them.

    Returns:
        option -> default.
    """
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        plain = parameter.default is None or isinstance(parameter.default, bool | int | float | str)
        if name not in supplied and plain and parameter.default is not inspect.Parameter.empty:
            found[name] = parameter.default
    return found


@contextmanager
def _generated(loader: Any, group: str, name: str, content: Mapping[str, Any]) -> Iterator[None]:
    """A settings file more, for a while."""
    path = loader.get_search_path()
    before = list(path.get_path())
    with tempfile.TemporaryDirectory(prefix="vsa-reasoning-") as folder:
        (Path(folder) / group).mkdir()
        (Path(folder) / group / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
        path.prepend("constructor", f"file://{folder}", anchor="schema")
        loader.repository.initialize_sources(path)
        try:
            yield
        finally:
            path.get_path()[:] = before
            loader.repository.initialize_sources(path)


def _theirs() -> list[tuple[str, Path]]:
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


def _clashes() -> Mapping[str, list[tuple[str, Path]]]:
    """Files that two of the folders have: path below conf without its ending -> whose they are."""
    theirs = _theirs()
    if not theirs:
        return {}
    found: dict[str, list[tuple[str, Path]]] = {}
    for whose, folder in ((OURS, conf_folder()), *theirs):
        for path in folder.rglob("*.yaml"):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append((whose, path))
    return {name: files for name, files in found.items() if len(files) > 1}


def _refuse_clash(name: str, files: Sequence[tuple[str, Path]]) -> None:
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
