"""Parsers of what containerd, runc, ctr, crictl and systemctl print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from caasctl.frozen import dataclass
from caasctl.syntax.containerd.tables import Data, Version, table

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def version(text: str) -> Version:
    """(1, 7, 24) of `containerd --version`, `runc --version` or a package's version; (0, 0, 0) where it has none."""
    found = _VERSION.search(text.rpartition("version")[2] if text.startswith("runc") else _after_module(text))
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def _after_module(text: str) -> str:
    """`containerd github.com/containerd/containerd/v2 2.1.9`: the version is behind the module path."""
    return next((word for word in text.split() if _VERSION.match(word.lstrip("v"))), "")


@dataclass(frozen=True)
class PluginState:
    """A row of `ctr plugins ls`. status: ok, skip or error."""

    type: str
    id: str
    status: str

    @property
    def uri(self) -> str:
        return f"{self.type}.{self.id}"


def plugins(text: str) -> tuple[PluginState, ...]:
    """The rows of `ctr plugins ls`."""
    rows = [line.split() for line in text.splitlines()]
    return tuple(PluginState(row[0], row[1], row[-1]) for row in rows if len(row) >= 4 and row[0] != "TYPE")  # noqa: PLR2004


def properties(text: str) -> Mapping[str, str]:
    """`systemctl show`: name -> value."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@dataclass(frozen=True)
class CriStatus:
    """What the running daemon says through the CRI (`crictl info`).

    runtimes: handler -> runtimeType. systemd_cgroup: the runc-type handlers that have SystemdCgroup on.
    network: why its network is not ready, "" where it is.
    """

    runtimes: Mapping[str, str]
    default_runtime: str
    sandbox_image: str
    systemd_cgroup: tuple[str, ...]
    ready: bool
    network: str


def cri_status(data: Any) -> CriStatus:
    """`crictl info`, parsed from JSON, of containerd 1.6 to 2.x."""
    config = table(data, "config")
    runtimes = table(config, "containerd", "runtimes")
    return CriStatus(
        {name: str(table(value).get("runtimeType", "")) for name, value in runtimes.items()},
        str(table(config, "containerd").get("defaultRuntimeName", "")),
        str(config.get("sandboxImage", "")),
        tuple(name for name, value in runtimes.items() if table(value, "options").get("SystemdCgroup") is True),
        _condition(data, "RuntimeReady").get("status") is True,
        ""
        if _condition(data, "NetworkReady").get("status") is True
        else str(_condition(data, "NetworkReady").get("message", "")),
    )


def _condition(data: Any, kind: str) -> Data:
    conditions = table(data, "status").get("conditions")
    found = [entry for entry in conditions if table(entry).get("type") == kind] if isinstance(conditions, list) else []
    return table(found[0]) if found else {}


_LOGGED = re.compile(r'level=(?:error|fatal).*?msg="((?:[^"\\]|\\.)*)"(?:.*?error="((?:[^"\\]|\\.)*)")?')


def reason(journal: str) -> str:
    """The last thing that a containerd said it failed on; its last line where it names none."""
    lines = [line for line in journal.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("containerd: "):
            return line
        failed = _LOGGED.search(line) or re.search(
            r'level=warning.*?msg="(failed to load plugin[^"]*)".*?error="((?:[^"\\]|\\.)*)"', line
        )
        if failed and "context canceled" not in line:
            return ": ".join(part.replace('\\"', '"') for part in failed.groups() if part)
    return lines[-1].strip() if lines else ""
