"""Which file set each key of this host's containerd configuration, as far as files and version are known."""

from __future__ import annotations

from typing import Any

from caasctl import hidden
from caasctl.diagnosis import KeySet
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.model import Facts
from caasctl.syntax.containerd.provenance import KeyOrigin, origins


def provenance(facts: Facts) -> tuple[KeyOrigin, ...]:
    """() where the files or the version cannot be read, or a file that is imported does not parse: then nothing is in effect."""
    config, version = facts.get(ContainerdConfig), facts.get(ContainerdVersion)
    if config is None or version is None or version.version == (0, 0, 0):
        return ()
    files = tuple(file for file in config.files if file.text is not None)
    return () if any(file.error for file in files) else origins(files, version.version)


def told(facts: Facts) -> tuple[KeySet, ...]:
    """The same in words: those that two files set first."""
    found = sorted(provenance(facts), key=lambda one: not one.contested)
    return tuple(KeySet(one.name, one.file or "containerd's default", _history(one), one.contested) for one in found)


def _history(one: KeyOrigin) -> str:
    value = "(no file's value is in effect)" if one.lost else _shown(one, one.value)
    said = [f"replaced {_shown(one, was)} of {path or 'containerd'}" for path, was in one.replaced]
    said += [f"{_shown(one, other)} of {path} has no effect" for path, other in one.skipped]
    said += [f"with entries of {', '.join(one.beside)}"] if one.beside else []
    return "; ".join([value, *said])


def _shown(one: KeyOrigin, value: Any) -> str:
    return hidden.HIDDEN if hidden.is_secret(one.key[-1], value) else hidden.masked(str(value))
