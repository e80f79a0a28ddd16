"""Container edits of CDI: environment, device nodes, hooks, mounts. Judged in the order and words of CDI's library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from caasctl.syntax.cdi.names import quoted

_HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_NODE_TYPES = ("", "b", "c", "u", "p")
_LONGEST_CLOS = 4096


def is_empty(edits: Mapping[str, Any]) -> bool:
    """Whether a device with these edits gives a container nothing, which the library refuses."""
    return "intelRdt" not in edits and not any(edits.values())


def edits_problems(edits: Mapping[str, Any]) -> Iterator[str]:
    for variable in _bad_env(edits):
        yield f"invalid container edits: {variable}"
    for node in edits.get("deviceNodes", ()):
        yield from _node(node)
    for hook in edits.get("hooks", ()):
        yield from _hook(hook)
    yield from _lacking(
        edits.get("mounts", ()), "invalid mount", {"hostPath": "host path", "containerPath": "container path"}
    )
    closid = edits.get("intelRdt", {}).get("closID", "")
    if closid in (".", "..") or len(closid) >= _LONGEST_CLOS or (closid != "/" and set(closid) & {"/", "\n"}):
        yield "invalid ClosID"
    fields = {"hostInterfaceName": "HostInterfaceName", "name": "Name"}
    yield from _lacking(edits.get("netDevices", ()), "invalid linux net device", fields)


def _lacking(entries: Sequence[Mapping[str, Any]], what: str, fields: Mapping[str, str]) -> Iterator[str]:
    """fields: what must not be empty -> its name in the error."""
    for entry in entries:
        for field, name in fields.items():
            if not entry.get(field):
                yield f"{what}, empty {name}"


def _bad_env(holder: Mapping[str, Any]) -> Iterator[str]:
    for variable in holder.get("env", ()):
        if variable.find("=") <= 0:
            yield f"invalid environment variable {quoted(variable)}"


def _node(node: Mapping[str, Any]) -> Iterator[str]:
    path, kind, permissions = node.get("path", ""), node.get("type", ""), node.get("permissions", "")
    if not path:
        yield "invalid (empty) device path"
    if kind not in _NODE_TYPES:
        yield f"device {quoted(path)}: invalid type {quoted(kind)}"
    if set(permissions) - set("rwm"):
        yield f"device {quoted(path)}: invalid permissions {quoted(permissions)}"


def _hook(hook: Mapping[str, Any]) -> Iterator[str]:
    name = hook.get("hookName", "")
    if name not in _HOOKS:
        yield f"invalid hook name {quoted(name)}"
    if not hook.get("path"):
        yield f"invalid hook {quoted(name)} with empty path"
    for variable in _bad_env(hook):
        yield f"invalid hook {quoted(name)}: {variable}"
