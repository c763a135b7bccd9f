"""Typed settings from plain mappings: a wrong key, a wrong type, a value out of range is refused with what exists.

Dataclasses and constructor signatures are the only schema; nothing is declared twice. A range stands in the annotation:
``Annotated[int, Between(1, 100)]``. Numbers are finite and integers have 64 bits, whatever is annotated.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union

from ..errors import DtypeError, SettingsError, closest
from ..registry import Registry, name_and_options

__all__ = [
    "Between",
    "Count",
    "Positive",
    "Seed",
    "Workers",
    "hints_of",
    "build",
    "call",
    "checked",
    "coerce",
    "parameters",
    "part_hints",
    "plain",
    "refuse_unknown",
    "takes_lists",
]

T = TypeVar("T")
_LONGEST = 4096  # bytes of text, as paths have it
_SHOWN = 80  # characters of a value that a sentence repeats


@dataclasses.dataclass(frozen=True)
class Between:
    """The range of a number, as metadata of an annotation.

    Args:
        least: the smallest value.
        most: the largest: far beyond what anybody means, and far below what would hang, overflow or fill the memory.
        above: whether the smallest value, 0, is itself too small.
    """

    least: float
    most: float
    above: bool = False

    def refuse(self, value: float, where: str) -> None:
        """Refuse a number that is out of range.

        Args:
            value: finite.
            where: the setting's dotted name.

        Raises:
            SettingsError: it is out of range.
        """
        if value > self.most:
            raise SettingsError(f"setting {where}", received=_shown(value), expected=f"at most {self.most:,}")
        if value < self.least or (self.above and value == self.least):
            expected = "a positive, finite number" if self.above else f"at least {self.least}"
            raise SettingsError(f"setting {where}", received=_shown(value), expected=expected)


Count = Annotated[int, Between(1, 10**8)]  # puzzles, rows, epochs: what is held in memory, or waited for
Workers = Annotated[int, Between(1, 4096)]  # processes or threads
Positive = Annotated[float, Between(0, 1e9, above=True)]
Seed = Annotated[int, Between(-(2**63), 2**63 - 1)]


def refuse_unknown(where: str, given: Sequence[str], known: Sequence[str], what: str = "setting") -> None:
    """Refuse keys that do not exist.

    Args:
        where: dotted prefix of the keys, empty at the top.
        given: the keys received.
        known: the keys that exist.
        what: what a key is called in the message.

    Raises:
        SettingsError: a key is not among ``known``; the message lists them and the closest matches.
    """
    for key in given:
        if key not in known:
            near = closest(key, known)
            raise SettingsError(
                f"{what} {_join(where, key)}",
                received="an unknown key",
                expected=f"one of {', '.join(sorted(known))}" if known else f"no {what} at all here",
                hint=f"did you mean {' or '.join(repr(name) for name in near)}?" if near else "",
            )


def build(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """An instance of a settings dataclass.

    Args:
        cls: a dataclass; its annotations are the types.
        values: field -> value, nested mappings for nested dataclasses.
        where: dotted prefix for messages.

    Returns:
        The instance, validated by its own ``__post_init__`` too.

    Raises:
        SettingsError: unknown or missing key.
        DtypeError: a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]  # T is a dataclass
    refuse_unknown(where, list(values), list(fields))
    hints = typing.get_type_hints(cls, include_extras=True)
    chosen = {}
    for name, field in fields.items():
        if name in values:
            chosen[name] = coerce(hints[name], values[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SettingsError(f"setting {_join(where, name)}", received="nothing", expected=_spell(hints[name]))
    return cls(**chosen)


def call(
    target: Callable[..., T], where: str, options: Mapping[str, Any], supplied: Mapping[str, Any], label: str
) -> T:
    """Call a constructor with the user's options and with what the framework supplies.

    Args:
        target: a class or function with explicit keyword arguments.
        where: dotted prefix of the options (``model``).
        options: the user's settings; each must be a parameter.
        supplied: values by parameter name, passed where the signature has that name and nowhere else.
        label: what is constructed, for messages (``arlc``).

    Returns:
        What ``target`` returns.

    Raises:
        SettingsError: an option that the signature does not have, or a required one that is missing.
        DtypeError: an option of the wrong type.
    """
    signature = inspect.signature(target)
    names, hints = parameters(target), hints_of(target)
    arguments = checked(target, where, options, supplied, label)
    arguments.update({name: value for name, value in supplied.items() if name in names})
    for name in names:
        if name not in arguments and signature.parameters[name].default is inspect.Parameter.empty:
            raise SettingsError(
                f"setting {_join(where, name)}", received="nothing", expected=_spell(hints.get(name, Any))
            )
    return target(**arguments)


def checked(
    target: Callable[..., Any], where: str, options: Mapping[str, Any], supplied: Collection[str], label: str
) -> dict[str, Any]:
    """The user's options of a constructor in the types that it wants, without calling it.

    Args:
        target: as :func:`call` has it, like all others.
        where: dotted prefix of the options.
        options: the user's.
        supplied: parameters that are no options.
        label: what would be constructed.

    Returns:
        option -> value.

    Raises:
        SettingsError: an option that the signature does not have, or out of range.
        DtypeError: an option of the wrong type.
    """
    settable = [name for name in parameters(target) if name not in supplied]
    refuse_unknown(where, list(options), settable, what=f"setting of {label},")
    hints = hints_of(target)
    return {name: coerce(hints.get(name, Any), value, _join(where, name)) for name, value in options.items()}


def parameters(target: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments that a class or function can be given by keyword."""
    return tuple(
        name
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    )


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a constructor; those of inherited fields in the module that wrote them down.

    Args:
        target: a class or function.

    Returns:
        argument -> annotation.
    """
    if dataclasses.is_dataclass(target) and "__init__" in vars(target):
        return typing.get_type_hints(target, include_extras=True)
    return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)


def part_hints(hint: Any, chosen: Any) -> dict[str, Any]:
    """Annotations of the part that a setting chooses, such as a backend's device.

    Args:
        hint: the annotation of the setting.
        chosen: the part's name, or a mapping with ``name`` in it.

    Returns:
        argument -> annotation; empty where no part is known by that name.
    """
    name = chosen.get("name") if isinstance(chosen, Mapping) else chosen
    for member in (hint, *typing.get_args(hint)):
        if _is_kind(member) and isinstance(name, str) and name in member.registry:
            return hints_of(member.registry.get(name))
    return {}


def takes_lists(hint: Any) -> bool:
    """Whether an annotation lets a setting be a list.

    Args:
        hint: an annotation.

    Returns:
        Whether it, or one of those that it unites, is a sequence, but for text.
    """
    origin = typing.get_origin(hint) or hint
    if origin is Annotated or origin in (Union, types.UnionType):
        return any(takes_lists(one) for one in typing.get_args(hint)[: 1 if origin is Annotated else None])
    return isinstance(origin, type) and issubclass(origin, Sequence) and not issubclass(origin, str | bytes)


def coerce(hint: Any, value: Any, where: str) -> Any:
    """Check a value against an annotation and convert what YAML cannot say (lists to tuples, integers to floats).

    A class whose attribute ``registry`` is a :class:`vsa.Registry` is a kind of things that settings name: a name, or
    ``name`` and the options of its constructor, becomes the thing.

    Args:
        hint: an annotation: bool, int, float, str, Literal, Optional or Union, tuple, list, Mapping, a dataclass, a
            registered kind.
        value: the value read.
        where: the setting's dotted name.

    Returns:
        The value, converted.

    Raises:
        DtypeError: it does not fit.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return value
    if origin is Annotated:
        converted = coerce(arguments[0], value, where)
        for limit in arguments[1:]:
            if isinstance(limit, Between):
                limit.refuse(converted, where)
        return converted
    if _is_kind(hint) and isinstance(value, str | Mapping):
        registry = hint.registry
        name, options = name_and_options(value, where)
        return call(registry.get(name), where, options, {}, f"{registry.kind} {registry.canonical(name)}")
    if origin in (Union, types.UnionType):
        return _coerce_union(arguments, hint, value, where)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):  # 1 == True
            return value
        near = closest(value, [str(choice) for choice in arguments])
        raise SettingsError(
            f"setting {where}",
            received=_shown(value),
            expected=f"one of {', '.join(map(str, arguments))}",
            hint=f"did you mean {near[0]!r}?" if near else "",
        )
    if origin in (tuple, list, Sequence) and isinstance(value, list | tuple):
        inner = arguments[0] if arguments else Any
        items = [coerce(inner, item, f"{where}[{index}]") for index, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if (origin in (dict, Mapping) or hint in (dict, Mapping)) and isinstance(value, Mapping):
        inner = arguments[1] if arguments else Any
        return {str(key): coerce(inner, item, _join(where, str(key))) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where)  # type: ignore[arg-type]  # a dataclass type, as just checked
    converted = _scalar(hint, value)
    if converted is _REFUSED:
        raise DtypeError(
            f"setting {where}",
            received=f"{_shown(value)} ({_kind(value)})",
            expected=_spell(hint),
            hint=_advice(hint, value, where),
        )
    if isinstance(converted, float) and not math.isfinite(converted):
        raise SettingsError(f"setting {where}", received=repr(converted), expected="a finite number")
    if isinstance(converted, int) and not -(2**63) <= converted < 2**63:
        raise SettingsError(f"setting {where}", received=_shown(converted), expected="an integer of 64 bits")
    if isinstance(converted, str) and ("\0" in converted or len(converted.encode(errors="replace")) > _LONGEST):
        received = "text with a null character" if "\0" in converted else f"text of {len(converted)} characters"
        raise SettingsError(f"setting {where}", received=received, expected=f"text of at most {_LONGEST} bytes")
    return converted


def plain(value: Any) -> Any:
    """A settings object as nested dicts, lists and scalars, ready for YAML or JSON.

    Args:
        value: dataclass instance, mapping, sequence or scalar.

    Returns:
        The plain form; :func:`build` gives the object back.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _is_kind(hint: Any) -> bool:
    return isinstance(hint, type) and isinstance(getattr(hint, "registry", None), Registry)


_REFUSED = object()
_HUGE = 10**300


def _scalar(hint: Any, value: Any) -> Any:
    if hint in (None, type(None)):
        return None if value is None else _REFUSED
    if hint is bool:
        return value if isinstance(value, bool) else _REFUSED
    if hint is int:
        if isinstance(value, float) and value.is_integer():  # 1e4 is a float to YAML, an integer to people
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else _REFUSED
    if hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _REFUSED
        return float(value) if isinstance(value, float) or abs(value) < _HUGE else math.inf  # of any length
    if hint is str:  # a folder may be called 2024
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else _REFUSED
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    return _REFUSED


def _coerce_union(members: Sequence[Any], hint: Any, value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    kept = [member for member in members if member is not type(None)]
    if isinstance(value, str | Mapping) and any(_is_kind(member) for member in kept):
        kept = [member for member in kept if _is_kind(member)]  # a name, not text; other members are for Python
    # A string member accepts nearly everything, so it is asked last.
    refused: SettingsError | None = None
    for member in sorted(kept, key=lambda member: member is str):
        try:
            return coerce(member, value, where)
        except DtypeError:
            if len(kept) == 1:
                raise
        except SettingsError as error:  # of the right type, yet out of range or no choice
            refused = refused or error
    if refused is not None:
        raise refused
    raise DtypeError(f"setting {where}", received=f"{_shown(value)} ({_kind(value)})", expected=_spell(hint))


def _spell(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _spell(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = [member for member in arguments if _is_kind(member) or member is type(None)]
        return " or ".join(_spell(member) for member in (kinds if any(map(_is_kind, kinds)) else arguments))
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (tuple, list, Sequence):
        return "a list of values, each " + _spell(arguments[0]) if arguments else "a list"
    names = {
        int: "an integer",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "null",
        Any: "a value",
    }
    if hint in names:
        return names[hint]
    if _is_kind(hint):
        return f"a name ({', '.join(hint.registry.names())})"
    if dataclasses.is_dataclass(hint) or origin in (dict, Mapping):
        return "a mapping"
    return getattr(hint, "__name__", str(hint))


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    return {list: "a list", str: "text", float: "a number", int: "an integer", bool: "true or false"}.get(
        type(value), "null" if value is None else type(value).__name__
    )


def _advice(hint: Any, value: Any, where: str) -> str:
    example = {int: "3", float: "0.01", bool: "true"}.get(hint)
    if example and isinstance(value, str) and any(sign in value for sign in "*^+"):
        return f"write the number itself, as {where}=1000 or {where}=1e3: nothing is reckoned here"
    if dataclasses.is_dataclass(hint):
        return f"write {where}.{dataclasses.fields(hint)[0].name}=VALUE"
    return f"for example {where}={example}" if example else ""


def _shown(value: Any) -> str:
    """A value as a sentence repeats it: short."""
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:  # Python refuses to write very long ones
        return f"an integer of more than {_SHOWN} digits"
    words = repr(value)
    return words if len(words) <= _SHOWN else f"{words[: _SHOWN - 3]}..."


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key
