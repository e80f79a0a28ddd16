"""CDI specifications that break one rule each: what caasctl says of it, and what CDI's own library says where that differs."""

from __future__ import annotations

from typing import Any, NamedTuple

GOOD: dict[str, Any] = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/pgpu",
    "devices": [
        {"name": "12", "containerEdits": {"deviceNodes": [{"path": "/dev/vfio/vfio"}, {"path": "/dev/vfio/12"}]}}
    ],
}
_NODE = {"path": "/dev/x"}
_ENV = {"env": ["A=1"]}
_UNMARSHAL = "json: cannot unmarshal"


class Case(NamedTuple):
    """theirs: words that must be in the library's error."""

    data: Any
    said: str
    theirs: str


def with_(**fields: Any) -> dict[str, Any]:
    return {**GOOD, **fields}


def edited(**edits: Any) -> dict[str, Any]:
    return with_(cdiVersion="1.0.0", devices=[{"name": "a", "containerEdits": edits}])


def _case(data: Any, said: str, theirs: str = "") -> Case:
    return Case(data, said, theirs or said)


def _named(name: str) -> dict[str, Any]:
    return with_(devices=[{"name": name, "containerEdits": _ENV}])


WHOLE = (
    _case(None, "no Spec data"),
    _case([], "the file: a table is wanted, not a list", _UNMARSHAL),
    _case(with_(metadata={}), 'unknown field "metadata"'),
    _case(with_(cdiVersion="0.9.0"), 'invalid version "0.9.0"'),
    _case(with_(cdiVersion=""), 'invalid version ""'),
    _case(with_(cdiVersion="0.4.0"), "the spec version must be at least v0.5.0"),
    _case(with_(annotations={"a": "b"}), "the spec version must be at least v0.6.0"),
    _case(with_(kind="VendorDevice"), "invalid vendor. empty name"),
    _case(with_(kind="0x.com/gpu"), 'invalid vendor. "0x.com", should start with letter'),
    _case(with_(kind="nvidia.com/g/u"), "invalid class. invalid character '/' in name \"g/u\""),
    _case(with_(kind="nvidia.com/gpu-"), 'invalid class. "gpu-", should end with a letter or digit'),
    _case(with_(kind="nvidia.com/g"), 'invalid class. "g", should be longer than one letter: the library crashes on it',
          "panic: runtime error: slice bounds out of range"),
    _case(with_(devices=[]), "invalid spec, no devices"),
    _case(with_(devices={}), "devices: a list is wanted, not a table", _UNMARSHAL),
    _case(with_(devices=GOOD["devices"] * 2), 'invalid spec, multiple device "12"'),
    _case(with_(devices=[{"name": "a"}]), 'failed add device "a": invalid device, empty device edits', 'failed add device "a"'),
    _case(_named(""), 'failed add device "": invalid (empty) device name'),
    _case(_named("-a"), 'failed add device "-a": invalid class "-a", should start with a letter or digit'),
    _case(_named("a b"), "failed add device \"a b\": invalid character ' ' in device name \"a b\""),
    _case(_named("a:"), 'failed add device "a:": invalid name "a:", should end with a letter or digit'),
    _case(with_(containerEdits={"env": [{"name": "A"}]}), "containerEdits.env[0]: a string is wanted, not a table", _UNMARSHAL),
    _case(with_(devices=[{"name": "a", "device": {}}]), 'unknown field "device" in devices[0]', 'unknown field "device"'),
)  # fmt: skip
EDITS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"env": ["NAME"]}, 'invalid container edits: invalid environment variable "NAME"'),
    ({"deviceNodes": [{}]}, "invalid (empty) device path"),
    ({"deviceNodes": [{**_NODE, "type": "x"}]}, 'device "/dev/x": invalid type "x"'),
    ({"deviceNodes": [{**_NODE, "permissions": "rx"}]}, 'device "/dev/x": invalid permissions "rx"'),
    ({"hooks": [{"hookName": "start", "path": "/a"}]}, 'invalid hook name "start"'),
    ({"hooks": [{"hookName": "prestart"}]}, 'invalid hook "prestart" with empty path'),
    (
        {"hooks": [{"hookName": "prestart", "path": "/a", "env": ["A"]}]},
        'invalid hook "prestart": invalid environment variable "A"',
    ),
    ({"mounts": [{"containerPath": "/a"}]}, "invalid mount, empty host path"),
    ({"mounts": [{"hostPath": "/a"}]}, "invalid mount, empty container path"),
    ({"intelRdt": {"closID": "a/b"}}, "invalid ClosID"),
)
VALUES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"major": "7"}, "major: an int64 is wanted, not a text"),
    ({"uid": -1}, "uid: a uint32 is wanted, not a number"),
    ({"uid": True}, "uid: a uint32 is wanted, not a truth value"),
    ({"fileMode": 2**32}, "fileMode: a uint32 is wanted, not a number"),
    ({"path": []}, "path: a string is wanted, not a list"),
)
BROKEN = (
    *WHOLE,
    *(_case(with_(cdiVersion="1.0.0", containerEdits=edits), said) for edits, said in EDITS),
    *(_case(edited(**edits), f'failed add device "a": invalid device "a": {said}', said) for edits, said in EDITS),
    *(
        _case(edited(deviceNodes=[{**_NODE, **value}]), f"devices[0].containerEdits.deviceNodes[0].{said}", _UNMARSHAL)
        for value, said in VALUES
    ),
)
