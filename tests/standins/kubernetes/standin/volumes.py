"""Volumes of static pods: whether their places are there, and whether the container sees the files that it is told of.

Source: kubernetes/kubernetes pkg/volume/hostpath (type checks and their words).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FILE_TYPES = {"File": os.path.isfile, "Directory": os.path.isdir, "Socket": os.path.exists}


def prepare(pod: dict[str, Any]) -> str:
    """What is wrong with the volumes of a static pod; "" where nothing is. DirectoryOrCreate and FileOrCreate make theirs."""
    for volume in pod["spec"].get("volumes", ()):
        source = volume["hostPath"]
        path, kind = source["path"], source.get("type") or ""
        if kind == "DirectoryOrCreate":
            os.makedirs(path, exist_ok=True)
        elif kind == "FileOrCreate" and not os.path.exists(path):
            Path(path).touch()
        elif kind in FILE_TYPES and not FILE_TYPES[kind](path):
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : hostPath type check failed: {path} is not a {kind.lower()}'
    return ""


def unseen(pod: dict[str, Any]) -> str:
    """A file that an argument names and that no volume shows to the container; "" where none."""
    container = pod["spec"]["containers"][0]
    mounts = {mount["mountPath"].rstrip("/"): mount for mount in container.get("volumeMounts", ())}
    hosts = {volume["name"]: volume["hostPath"]["path"] for volume in pod["spec"].get("volumes", ())}
    for word in container["command"][1:]:
        name, _, value = word.removeprefix("--").partition("=")
        if not value.startswith("/") or "," in value:
            continue
        above = [path for path in mounts if value == path or value.startswith(f"{path}/")]
        if not above:
            return f"open {value}: no such file or directory"
        mount = mounts[max(above, key=len)]
        if name == "audit-log-path" and mount.get("readOnly"):
            return f"ensureLogFile: open {value}: read-only file system"
        if hosts[mount["name"]] != max(above, key=len):
            return f"open {value}: no such file or directory (mounted from elsewhere: the stand-in shows every path at its own place)"
    return ""
