"""Which file set each key of this host's containerd configuration, as far as files and version are known."""

from __future__ import annotations

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
