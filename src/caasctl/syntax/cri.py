"""What crictl prints of containers and pods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from caasctl.formats import FormatError, parse_json
from caasctl.frozen import dataclass

ENDPOINT = ("--runtime-endpoint", "unix:///run/containerd/containerd.sock", "--timeout", "2s")
# Only these words of a container's status: the rest holds environments of pods, and with them passwords.
STATUS = "{{.status.state}}\t{{.status.exitCode}}\t{{.status.reason}}\t{{.status.finishedAt}}"
_FIELDS = 4
_STATE = "CONTAINER_"
_LONGEST_ID = 128


@dataclass(frozen=True)
class Container:
    """A container that the runtime knows. state: running, exited, created, unknown. attempt: how often it was started before.

    created, finished: UTC in ISO 8601, "" where not known. exit_code, reason: of one that ended, None and "" where not asked.
    sandbox: id of its pod's sandbox.
    """

    id: str
    name: str
    pod: str
    namespace: str
    state: str
    attempt: int = 0
    created: str = ""
    sandbox: str = ""
    exit_code: int | None = None
    reason: str = ""
    finished: str = ""

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class Sandbox:
    """A pod that the runtime knows. handler: its runtime, "" for the default one. ready: its sandbox runs."""

    id: str
    name: str
    namespace: str
    uid: str = ""
    ready: bool = True
    handler: str = ""


def containers(text: str) -> tuple[Container, ...]:
    """`crictl ps -a -o json`, newest first. Raises FormatError."""
    found = [one for item in _items(text, "containers") for one in _container(item)]
    return tuple(sorted(found, key=lambda one: (one.created, one.attempt), reverse=True))


def sandboxes(text: str) -> tuple[Sandbox, ...]:
    """`crictl pods -o json`. Raises FormatError."""
    return tuple(one for item in _items(text, "items") for one in _sandbox(item))


def _items(text: str, key: str) -> list[Mapping[str, Any]]:
    data = parse_json(text, "crictl's answer")
    items = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(items, list):
        raise FormatError(f"crictl's answer has no list of {key}", fix="see what crictl prints")
    return [item for item in items if isinstance(item, Mapping)]


def _container(item: Mapping[str, Any]) -> tuple[Container, ...]:
    labels, metadata = _table(item, "labels"), _table(item, "metadata")
    name, state = _word(metadata, "name"), _word(item, "state")
    if not name or not _id(item):
        return ()
    return (
        Container(
            _id(item),
            name,
            _word(labels, "io.kubernetes.pod.name"),
            _word(labels, "io.kubernetes.pod.namespace"),
            state.removeprefix(_STATE).lower(),
            _count(metadata.get("attempt")),
            _since_1970(item.get("createdAt")),
            _word(item, "podSandboxId"),
        ),
    )


def _sandbox(item: Mapping[str, Any]) -> tuple[Sandbox, ...]:
    metadata = _table(item, "metadata")
    if not _id(item):
        return ()
    ready = _word(item, "state") == "SANDBOX_READY"
    name, namespace, uid = (_word(metadata, key) for key in ("name", "namespace", "uid"))
    return (Sandbox(_id(item), name, namespace, uid, ready, _word(item, "runtimeHandler")),)


def with_end(one: Container, said: str) -> Container:
    """The container with what `crictl inspect` says by STATUS."""
    state, code, reason, finished = (*said.strip("\n").split("\t"), *[""] * _FIELDS)[:_FIELDS]
    if not state.startswith(_STATE):
        return one
    end = int(code) if re.fullmatch(r"-?\d{1,9}", code) else None
    return replace(one, exit_code=end, reason=reason, finished=_utc(finished))


def _table(item: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = item.get(key)
    return found if isinstance(found, Mapping) else {}


def _word(item: Mapping[str, Any], key: str) -> str:
    found = item.get(key)
    return found if isinstance(found, str) else ""


def _id(item: Mapping[str, Any]) -> str:
    found = _word(item, "id")
    return found if re.fullmatch(rf"[0-9A-Za-z_.-]{{1,{_LONGEST_ID}}}", found) and not found.startswith("-") else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _since_1970(nanoseconds: Any) -> str:
    try:
        return _iso(datetime.fromtimestamp(int(nanoseconds) // 1_000_000_000, timezone.utc))
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


def _utc(text: str) -> str:
    """RFC 3339 with nanoseconds; "" for the year 1, which is Go's way to say never."""
    try:
        whole = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
        at = datetime.fromisoformat(whole)
        return _iso(at.astimezone(timezone.utc)) if at.tzinfo and at.year > 1 else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _iso(at: datetime) -> str:
    return f"{at.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
