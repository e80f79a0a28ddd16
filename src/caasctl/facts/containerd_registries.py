"""The hosts.toml files by which containerd finds mirrors and CAs of registries, in every folder that it looks in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import MARK, Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.containerd import host as containerd_host
from caasctl.syntax.containerd import registries
from caasctl.syntax.containerd.imports import merged
from caasctl.syntax.containerd.registries import CERTS, Hosts
from caasctl.syntax.containerd.tables import cri


@dataclass(frozen=True)
class HostsToml:
    """ours: with caasctl's header. missing: the CA files that it names and that are not there. text: as it is."""

    path: str
    hosts: Hosts = field(default_factory=Hosts)
    ours: bool = False
    missing: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class RegistryFolders:
    """config_path: the folders that containerd is told of, () for none. files: in these folders and in caasctl's own."""

    config_path: tuple[str, ...] = ()
    files: tuple[HostsToml, ...] = ()

    def at(self, path: str) -> HostsToml | None:
        return next((file for file in self.files if file.path == path), None)


def _folders(host: Reader) -> RegistryFolders:
    files = containerd_host.config_files(host)
    said = cri(merged(files, containerd_host.likely_version(host))).registry.get("config_path")
    told = tuple(folder.rstrip("/") for folder in registries.folders(said))
    return RegistryFolders(told, tuple(_files(host, tuple(dict.fromkeys((*told, CERTS))))))


def _files(host: Reader, folders: tuple[str, ...]) -> Iterator[HostsToml]:
    for folder in folders:
        for name in host.list(folder) or ():
            path = registries.path(name, folder)
            text = host.read(path)
            if text is not None:
                hosts = registries.parse(text, path)
                yield HostsToml(path, hosts, MARK in text.lower(), tuple(_missing(host, hosts.cas)), text)


def _missing(host: Reader, paths: tuple[str, ...]) -> Iterator[str]:
    for path in paths:
        try:
            if host.stat(path) is None:
                yield path
        except Unreadable:  # root alone may see whether it is there
            continue


PROBES = (Probe(RegistryFolders, _folders),)
