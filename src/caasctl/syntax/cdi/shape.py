"""The fields of a CDI specification and their types, as its library reads them: an unknown field refuses the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from caasctl.syntax.cdi.names import quoted

TEXT, BOOL, TEXTS = "a string", "a bool", "a table of strings"
INT, UNSIGNED = "an int64", "a uint32"
_RANGE = {INT: (-(2**63), 2**63), UNSIGNED: (0, 2**32)}
Shape = Any  # one of the words above, a list of one shape, or a mapping of field -> shape

_NODE = {"path": TEXT, "hostPath": TEXT, "type": TEXT, "major": INT, "minor": INT, "fileMode": UNSIGNED,
         "permissions": TEXT, "uid": UNSIGNED, "gid": UNSIGNED}  # fmt: skip
_HOOK = {"hookName": TEXT, "path": TEXT, "args": [TEXT], "env": [TEXT], "timeout": INT}
_MOUNT = {"hostPath": TEXT, "containerPath": TEXT, "options": [TEXT], "type": TEXT}
_RDT = {"closID": TEXT, "l3CacheSchema": TEXT, "memBwSchema": TEXT, "enableCMT": BOOL, "enableMBM": BOOL,
        "schemata": [TEXT], "enableMonitoring": BOOL}  # fmt: skip
_EDITS = {"env": [TEXT], "deviceNodes": [_NODE], "hooks": [_HOOK], "mounts": [_MOUNT], "intelRdt": _RDT,
          "additionalGids": [UNSIGNED], "netDevices": [{"hostInterfaceName": TEXT, "name": TEXT}]}  # fmt: skip
_DEVICE = {"name": TEXT, "annotations": TEXTS, "containerEdits": _EDITS}
SPEC: Shape = {"cdiVersion": TEXT, "kind": TEXT, "annotations": TEXTS, "devices": [_DEVICE], "containerEdits": _EDITS}


def misfits(value: Any, shape: Shape, at: str = "") -> Iterator[str]:
    """What does not fit the shape, a clause each. null fits everywhere: it is as good as left out."""
    if value is None:
        return
    if isinstance(shape, list):
        if not isinstance(value, list):
            yield _wrong(value, "a list", at)
            return
        for index, entry in enumerate(value):
            yield from misfits(entry, shape[0], f"{at}[{index}]")
    elif isinstance(shape, Mapping):
        yield from _misfits_of_object(value, shape, at)
    elif not _fits(value, shape):
        yield _wrong(value, shape, at)


def _misfits_of_object(value: Any, shape: Mapping[str, Shape], at: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield _wrong(value, "a table", at)
        return
    for key, entry in value.items():
        field = _field(key, shape)
        if field:
            yield from misfits(entry, shape[field], f"{at}.{field}".lstrip("."))
        else:
            yield f"unknown field {quoted(str(key))}" + (f" in {at}" if at else "")


def _field(key: Any, shape: Mapping[str, Shape]) -> str:
    """The field that a key names: Go's decoder does not mind upper and lower case."""
    if key in shape:
        return str(key)
    return next((field for field in shape if field.lower() == str(key).lower()), "")


def _fits(value: Any, shape: str) -> bool:
    if shape == TEXT:  # a number or a truth value without quotes is taken for its text
        return not isinstance(value, (list, Mapping))
    if shape == TEXTS:
        return isinstance(value, Mapping) and all(_fits(entry, TEXT) for entry in value.values())
    if shape == BOOL:
        return isinstance(value, bool)
    low, high = _RANGE[shape]
    return isinstance(value, int) and not isinstance(value, bool) and low <= value < high


def _wrong(value: Any, wanted: str, at: str) -> str:
    names = {dict: "a table", list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return f"{at or 'the file'}: {wanted} is wanted, not {names.get(type(value), 'a date')}"


def fitted(value: Any, shape: Shape) -> Any:
    """The value with the fields' own names, texts for scalars, and empty values for what is null or left out."""
    if isinstance(shape, list):
        return [fitted(entry, shape[0]) for entry in value or ()]
    if isinstance(shape, Mapping):
        given = {_field(key, shape): entry for key, entry in (value or {}).items()}
        return {field: fitted(entry, shape[field]) for field, entry in given.items() if entry is not None}
    if shape == TEXTS:
        return {str(key): text_of(entry) for key, entry in (value or {}).items()}
    return text_of(value) if shape == TEXT else value


def text_of(value: Any) -> str:
    """A scalar's text as the library's YAML reader would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
