"""containerd's configuration, judged for each release that reads its schema."""

from __future__ import annotations

import re
from typing import Any

from caasctl.doctor.files.kind import Kind, World
from caasctl.facts.given import CONTAINERD, Given, items, table
from caasctl.syntax.containerd.tables import MAIN, newest_schema, schema

_BINARY = "/usr/bin/containerd"
# Of each stretch of releases that reads a file in one way the last one.
_RELEASES = (
    ((1, 7, 29), "containerd 1.x"),
    ((2, 2, 9), "containerd 2.0 to 2.2"),
    ((2, 3, 9), "containerd 2.3 and later"),
)
_TABLES = ("plugins", "grpc", "proxy_plugins", "stream_processors", "debug", "metrics", "cgroup", "timeouts", "ttrpc")
_KEYS = ("disabled_plugins", "required_plugins", "oom_score", "imports", "root", "state", "version")


def _known(data: Any) -> bool:
    if not isinstance(data, dict) or "apiVersion" in data or any(str(key).startswith("hypervisor") for key in data):
        return False
    tables = [value for value in data.values() if isinstance(value, dict)]
    return (
        any(str(key).startswith("io.containerd.") for table in tables for key in table)
        or any(isinstance(data.get(key), dict) for key in _TABLES[:5])
        or any(key in data for key in _KEYS[:4])
        or (set(data) <= {*_TABLES, *_KEYS} and "version" in data)
    )


def _worlds(given: Given) -> tuple[World, ...]:
    data = table(given.documents[0].data) if given.documents else {}
    fit = [one for one in _RELEASES if newest_schema(one[0]) >= schema(data)] or [_RELEASES[-1]]
    return tuple(_world(given, release, "" if len(fit) == 1 else holds) for release, holds in fit)


def _world(given: Given, release: tuple[int, int, int], holds: str) -> World:
    """Imports are there and say nothing: what is in them cannot be seen from here."""
    data = given.documents[0].data if given.documents else {}
    imports = [one for one in items(data, "imports") if isinstance(one, str) and one.startswith("/") and "*" not in one]
    said = f"containerd containerd.io {'.'.join(map(str, release))} 0"
    files = {**dict.fromkeys(imports, ""), MAIN: given.text}
    return World(files, (_BINARY,), {(_BINARY, "--version"): said}, holds)


KIND = Kind(
    CONTAINERD,
    _known,
    re.compile(r"""^\s*(?:disabled_plugins\s*=|\[\s*plugins\b|\[\s*grpc\s*\])|io\.containerd\.""", re.MULTILINE),
    places=lambda given: {MAIN: given.text},
    worlds=_worlds,
    checks=("containerd.unknown_keys", "containerd.cri_enabled", "containerd.systemd_cgroup", "containerd.default_runtime",
            "containerd.key_conflicts", "containerd.cni_folders", "kata.annotations"),
    silent=("crictl", "ctr", MAIN),
)  # fmt: skip
