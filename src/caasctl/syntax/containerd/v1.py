"""Configuration files of schema 1 (no `version`): their plugin names turned into those of schema 2, in the text itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from caasctl.formats import REMOVED, Edits, FormatError, edit_toml, parse_toml
from caasctl.model import CaasError
from caasctl.syntax.containerd.tables import strings, table

# containerd's own list of the plugins that schema 1 could configure.
PLUGINS = {
    "cri": "io.containerd.grpc.v1.cri",
    "cgroups": "io.containerd.monitor.v1.cgroups",
    "linux": "io.containerd.runtime.v1.linux",
    "scheduler": "io.containerd.gc.v1.scheduler",
    "bolt": "io.containerd.metadata.v1.bolt",
    "task": "io.containerd.runtime.v2.task",
    "opt": "io.containerd.internal.v1.opt",
    "restart": "io.containerd.internal.v1.restart",
    "tracing": "io.containerd.internal.v1.tracing",
    "otlp": "io.containerd.tracing.processor.v1.otlp",
    "aufs": "io.containerd.snapshotter.v1.aufs",
    "btrfs": "io.containerd.snapshotter.v1.btrfs",
    "devmapper": "io.containerd.snapshotter.v1.devmapper",
    "native": "io.containerd.snapshotter.v1.native",
    "overlayfs": "io.containerd.snapshotter.v1.overlayfs",
    "zfs": "io.containerd.snapshotter.v1.zfs",
}
_HEADER = re.compile(
    r"""^(\s*\[\s*(?:plugins|"plugins"|'plugins')\s*\.\s*)("?'?)([A-Za-z0-9_-]+)\2(?=\s*[.\]])""", re.MULTILINE
)


def full_id(short: str) -> str:
    """The schema 2 name of a plugin; names with a dot are full already. "" where containerd does not say which it is."""
    if "." in short:
        return short
    return f"io.containerd.service.v1.{short}" if short.endswith("-service") else PLUGINS.get(short, "")


def short_tables(data: Any) -> tuple[str, ...]:
    """The plugin tables of a file that carry schema 1 names."""
    return tuple(
        name for name, value in table(data, "plugins").items() if "." not in name and isinstance(value, Mapping)
    )


def to_schema_2(text: str, what: str) -> str:
    """The text with plugin names of schema 2, without `version`. Raises CaasError where a name is not known or given twice."""
    data = parse_toml(text, what)
    for name in short_tables(data):
        _refuse_unclear(name, data, what)
    renamed = _HEADER.sub(_rename, text)
    if _moved(data) == _moved_already(renamed, what):
        return renamed
    moves: list[tuple[tuple[str, ...], Any]] = []
    for name in short_tables(data):  # inline tables and dotted keys: comments inside them go
        moves += [(("plugins", name), REMOVED), (("plugins", full_id(name)), data["plugins"][name])]
    edits: Edits = moves
    return edit_toml(text, edits, what)


def full_ids(entries: Any) -> list[str]:
    """Entries of disabled_plugins or required_plugins by their full names; unknown ones stay, containerd will refuse them."""
    return list(dict.fromkeys(full_id(entry) or entry for entry in strings(entries)))


def _refuse_unclear(name: str, data: Any, what: str) -> None:
    full = full_id(name)
    if not full:
        raise CaasError(
            f"{what}: the table [plugins.{name}] has a name of schema 1 that containerd's own list does not know",
            cause="schema 2 wants full names, and caasctl does not guess which plugin is meant",
            fix=f"give [plugins.{name}] its full name in {what} (`ctr plugins ls`: TYPE.ID), or remove it",
        )
    if full in data["plugins"]:
        raise CaasError(
            f'{what} gives both [plugins.{name}] and [plugins."{full}"]',
            cause=f"they are one plugin, and without `version` containerd reads [plugins.{name}] only",
            fix=f"leave one of the two tables in {what}",
        )


def _rename(header: re.Match[str]) -> str:
    full = full_id(header[3])
    return f'{header[1]}"{full}"' if full and "." not in header[3] else header[0]


def _moved(data: Any) -> Any:
    short = short_tables(data)
    return {**data, "plugins": {full_id(n) if n in short else n: value for n, value in table(data, "plugins").items()}}


def _moved_already(text: str, what: str) -> Any:
    try:
        data = parse_toml(text, what)
    except FormatError:
        return None
    return {**data, "plugins": dict(table(data, "plugins"))}
