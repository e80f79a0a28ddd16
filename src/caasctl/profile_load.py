"""Reads a profile: YAML, `extends`, `--set`, then strict decoding; errors name every key path that is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import date
from typing import Any, Literal, Union, get_args, get_origin

from caasctl import formats, shipped
from caasctl.host import user_file
from caasctl.model import ProfileError, UsageError
from caasctl.profile import AUTO, GpuSelector, NodeProfile
from caasctl.profile_judge import judge
from caasctl.profile_packages import ContainerdPackagesSpec
from caasctl.profile_sources import shown, without_login

DEFAULT = "single-node"
_MAX_DEPTH = 8


def load(named: str = DEFAULT, settings: Sequence[str] = ()) -> NodeProfile:
    """The profile of a shipped name or a file, with `KEY=VALUE` settings laid over. Raises ProfileError, UsageError."""
    profile = decode(complete(named, settings), named)
    wrong = list(judge(profile))
    if wrong:
        raise _error(named, wrong)
    return _for_guests(profile)


def _for_guests(profile: NodeProfile) -> NodeProfile:
    """Where no runtime starts guests, `auto` takes no GPU from the host: containers of runc may use it by the host's driver."""
    gpu = profile.spec.gpu
    if gpu.passthrough != "auto" or profile.kata_handlers:
        return profile
    return replace(profile, spec=replace(profile.spec, gpu=replace(gpu, passthrough="off")))


def complete(named: str, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The plain data of a profile merged over what it extends, settings laid over. Raises ProfileError, UsageError."""
    data = _extended(named, ())
    for setting in settings:
        data = _merge(data, _setting(setting))
    return data


def shipped_names() -> tuple[str, ...]:
    return tuple(name.removesuffix(".yaml") for name in shipped.names("profiles") if name.endswith(".yaml"))


def decode(data: Mapping[str, Any], named: str) -> NodeProfile:
    """Typed values of plain data. Raises ProfileError with every wrong key path."""
    import cattrs  # noqa: PLC0415 - 40 ms
    from cattrs.gen import make_dict_structure_fn, override  # noqa: PLC0415

    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (int, str, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook_func(_is_literal, _one_of)
    converter.register_structure_hook(Union[int, Literal["auto"]], _number_or_auto)
    of_class, of_from = override(rename="class"), override(rename="from")  # words of Python's own
    selector = make_dict_structure_fn(GpuSelector, converter, _cattrs_forbid_extra_keys=True, class_=of_class)
    converter.register_structure_hook(GpuSelector, selector)
    runtime = make_dict_structure_fn(ContainerdPackagesSpec, converter, _cattrs_forbid_extra_keys=True, from_=of_from)
    converter.register_structure_hook(ContainerdPackagesSpec, runtime)
    whole = make_dict_structure_fn(
        NodeProfile, converter, _cattrs_forbid_extra_keys=True, join=override(omit=True), airgap=override(omit=True)
    )
    converter.register_structure_hook(NodeProfile, whole)
    try:
        return converter.structure(_checked_shapes(data, NodeProfile, ""), NodeProfile)
    except _Shape as shape:
        raise _error(named, [str(shape)]) from shape
    except cattrs.BaseValidationError as group:
        said = cattrs.transform_error(group, path="", format_exception=_word)
        raise _error(named, [_path_first(line, data) for line in said]) from group


def _extended(named: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The data of a profile merged over those that it extends."""
    if named in seen or len(seen) > _MAX_DEPTH:
        raise ProfileError(
            f"profile {named} extends itself: {' -> '.join((*seen, named))}", fix="remove one of the `extends`"
        )
    try:
        data = formats.parse_yaml(_text(named), f"profile {named}")
    except formats.FormatError as error:
        raise ProfileError(error.problem, cause="a profile is one YAML document", fix=error.fix) from error
    if not isinstance(data, dict):
        raise ProfileError(
            f"profile {named} holds {_kind(data)}, not a mapping",
            cause="a profile has apiVersion, kind, metadata and spec",
            fix="start from `caasctl profile show single-node`",
        )
    base = data.pop("extends", None)
    if base is None:
        return data
    if not isinstance(base, str) or base not in shipped_names():
        raise _error(named, [f"extends: {base!r} is no shipped profile; there are {', '.join(shipped_names())}"])
    return _merge(_extended(base, (*seen, named)), data)


def _text(named: str) -> str:
    text = None if "/" in named or named.endswith((".yaml", ".yml")) else shipped.text("profiles", f"{named}.yaml")
    if text is not None:
        return text
    if "/" not in named and not named.endswith((".yaml", ".yml")):
        near = difflib.get_close_matches(named, shipped_names(), 1)
        raise UsageError(
            f"there is no profile named {named}",
            cause=f"shipped are {', '.join(shipped_names())}",
            fix=f"did you mean {near[0]}?" if near else f"for a file, write its path: ./{named}",
        )
    return user_file(named)


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings merge key by key; anything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _setting(setting: str) -> dict[str, Any]:
    key, equals, value = setting.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise UsageError(
            f"--set {setting} is not KEY=VALUE",
            cause="the key is a dotted path of the profile",
            fix="for example --set kubernetes.version=v1.36.4",
        )
    if path[0] not in ("spec", "metadata", "apiVersion", "kind"):
        path.insert(0, "spec")
    try:
        data: Any = formats.parse_yaml(value, f"the value of --set {key}")
    except formats.FormatError as error:
        fix = f"""for a text, quotes in quotes: --set '{key}="VALUE"'"""
        raise UsageError(error.problem, cause="it is read as YAML", fix=fix) from error
    for part in reversed(path):
        data = {part: data}
    return dict(data)


class _Shape(Exception):  # noqa: N818 - becomes a ProfileError
    """A value whose kind is wrong before its content can be looked at."""


def _checked_shapes(data: Any, kind: Any, path: str) -> Any:
    """The data, once it is known that mappings are mappings and lists are lists all the way down."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(data, Mapping):
            raise _Shape(f"{path or 'the profile'}: expected a mapping, got {_kind(data)}")
        hints = _hints(kind)
        return {
            key: _checked_shapes(value, hints.get(key, Any), f"{path}.{key}".lstrip(".")) for key, value in data.items()
        }
    if origin is tuple:
        if not isinstance(data, list):
            raise _Shape(f"{path}: expected a list, got {_kind(data)}")
        return [_checked_shapes(value, inner[0], f"{path}[{at}]") for at, value in enumerate(data)]
    if origin is dict:
        if not isinstance(data, Mapping):
            raise _Shape(f"{path}: expected a mapping, got {_kind(data)}")
        return {key: _checked_shapes(value, inner[1], f"{path}.{key}") for key, value in data.items()}
    return data


def _hints(kind: type) -> dict[str, Any]:
    from typing import get_type_hints  # noqa: PLC0415 - beside its only user

    hints = get_type_hints(kind)
    return {str(field.metadata.get("key", field.name)): hints[field.name] for field in fields(kind)}


def _exactly(kind: type) -> Any:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            words = {int: "a whole number", str: "text", bool: "true or false"}
            quote = (
                "; put it in quotes, as it stands there"
                if kind is str and isinstance(value, (int, float, date))
                else ""
            )
            raise ValueError(f"expected {words[kind]}, got {_kind(value)}{quote}")
        return value

    return hook


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _one_of(value: Any, kind: Any) -> Any:
    allowed = get_args(kind)
    if value not in allowed:
        near = difflib.get_close_matches(shown(value).strip("'"), [str(a) for a in allowed], 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{shown(value)} is not one of {', '.join(map(str, allowed))}{meant}")
    return value


def _number_or_auto(value: Any, _: Any) -> Any:
    if value != AUTO and (type(value) is not int or value <= 0):
        raise ValueError(f"expected a whole number above 0 or {AUTO}, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    said = without_login(value)
    words = {dict: "a mapping", list: "a list", str: f"the text {said}", bool: said.lower()}
    words[int] = f"the number {said}"
    return words.get(type(value), said)


def _word(error: BaseException, _: Any) -> str:
    """What one decoding error says; unknown keys are spelled out by _path_first."""
    import cattrs  # noqa: PLC0415

    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        near = {key: difflib.get_close_matches(key, list(_hints(error.cl)), 1) for key in sorted(error.extra_fields)}
        return "; ".join(f"unknown key {key}" + (f", did you mean {n[0]}?" if n else "") for key, n in near.items())
    if isinstance(error, KeyError):
        return f"key {error.args[0]} is missing"
    return str(error)


def _path_first(line: str, _: Any) -> str:
    said, _, path = line.rpartition(" @ ")
    return f"{path.lstrip('.').replace('class_', 'class').replace('from_', 'from') or 'the profile'}: {said}"


def _error(named: str, wrong: Sequence[str]) -> ProfileError:
    head = f"profile {named} is invalid"
    return ProfileError(
        f"{head}: {wrong[0]}" if len(wrong) == 1 else "\n  ".join([f"{head}:", *wrong]),
        cause="a profile is decoded strictly, so that a misspelt key cannot be ignored",
        fix="correct each key; `caasctl profile show single-node` prints a complete one",
    )
