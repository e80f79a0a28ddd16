"""Every file that the kubelet takes for a static pod: which pod, with which arguments, and what it names that is not there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader

FOLDER = "/etc/kubernetes/manifests"
_TAG = re.compile(r":v?([0-9][\w.+-]*?)(?:@sha256:[0-9a-f]+)?$")
_FILES = re.compile(
    r"(?:file|kubeconfig|cert|key|cafile|certfile|keyfile|-config)$"
)  # of names of arguments that name a file


@dataclass(frozen=True)
class ManifestFile:
    """problem: why it is no pod, "" where it is one. version: tag of its first image without v.

    arguments: in their order, without `--`. missing: (argument, path) of files that this host does not have.
    """

    path: str
    problem: str = ""
    pod: str = ""
    version: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    missing: tuple[tuple[str, str], ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for given, value in self.arguments if given == name)


@dataclass(frozen=True)
class ManifestFiles:
    """All files in /etc/kubernetes/manifests whose names do not begin with a dot, in the kubelet's order."""

    files: tuple[ManifestFile, ...] = ()

    def pod(self, name: str) -> ManifestFile | None:
        return next((file for file in self.files if file.pod == name), None)


def parse(text: str, path: str) -> tuple[ManifestFile, tuple[str, ...]]:
    """The file without `missing`, and the paths of the host that its containers see."""
    try:
        data: Any = formats.parse_yaml(text, path)
    except formats.FormatError as error:
        return ManifestFile(path, error.problem.removeprefix(f"{path} ")), ()
    containers = _list(_table(_table(data).get("spec")).get("containers"))
    name = _table(_table(data).get("metadata")).get("name")
    if _table(data).get("kind") != "Pod" or not containers or not isinstance(name, str):
        return ManifestFile(path, "is no manifest of a pod" if text.strip() else "is empty"), ()
    first = containers[0]
    words = [str(word) for key in ("command", "args") for word in _list(first.get(key), (str, int, float))]
    tag = _TAG.search(str(first.get("image", "")))
    return ManifestFile(path, "", name, tag[1] if tag else "", tuple(_arguments(words))), _mounted(data)


def _table(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, Mapping) else {}


def _list(data: Any, kinds: type | tuple[type, ...] = Mapping) -> list[Any]:
    return [one for one in data if isinstance(one, kinds)] if isinstance(data, list) else []


def _arguments(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            yield name, value if equals else "true"


def _mounted(data: Any) -> tuple[str, ...]:
    """Paths of the host that the pod's first container sees under their own names, as in all manifests of kubeadm's."""
    spec = _table(_table(data).get("spec"))
    volumes = {one.get("name"): _table(one.get("hostPath")).get("path") for one in _list(spec.get("volumes"))}
    mounts = _list(_list(spec.get("containers"))[0].get("volumeMounts"))
    return tuple(
        one["mountPath"]
        for one in mounts
        if isinstance(one.get("mountPath"), str) and volumes.get(one.get("name")) == one["mountPath"]
    )


def _missing(host: Reader, file: ManifestFile, mounted: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, value in file.arguments:
        inside = any(
            posixpath.normpath(value).startswith(f"{place.rstrip('/')}/") or value == place for place in mounted
        )
        if value.startswith("/") and inside and _FILES.search(name) and host.stat(value) is None:
            yield name, value


def read(host: Reader) -> ManifestFiles:
    found: list[ManifestFile] = []
    for name in host.list(FOLDER) or ():
        path = f"{FOLDER}/{name}"
        if name.startswith(".") or not _is_file(host, path):
            continue
        file, mounted = _read_file(host, path)
        found.append(ManifestFile(**{**vars(file), "missing": tuple(_missing(host, file, mounted))}))
    return ManifestFiles(tuple(found))


def _is_file(host: Reader, path: str) -> bool:
    there = host.stat(path)
    return there is not None and there.kind is FileKind.FILE


def _read_file(host: Reader, path: str) -> tuple[ManifestFile, tuple[str, ...]]:
    try:
        return parse(host.read(path) or "", path)
    except Unreadable as unreadable:
        if "permission" in unreadable.reason:
            raise
        return ManifestFile(path, unreadable.reason), ()


PROBES: tuple[Probe, ...] = (Probe(ManifestFiles, read),)
