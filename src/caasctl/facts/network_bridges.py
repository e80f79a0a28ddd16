"""Networks that container programs take when they need one: CNI configurations and Docker's address pools."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

CNI_FOLDER = "/etc/cni/net.d"
DAEMON = "/etc/docker/daemon.json"
_ENDINGS = (".conf", ".conflist", ".json")  # as libcni takes them
_DOCKERD = ("/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/bin/docker.dockerd")
# moby: libnetwork/ipamutils, the local scope's default pools
_DOCKER_OWN = ("172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14",
               "192.168.0.0/16")  # fmt: skip


@dataclass(frozen=True)
class CniConfig:
    """One file of /etc/cni/net.d. plugins: their types in order. subnets: CIDRs that it gives addresses from.

    broken: why it cannot be read; then the rest is empty.
    """

    path: str
    name: str = ""
    plugins: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    broken: str = ""

    @property
    def cilium(self) -> bool:
        return "cilium-cni" in self.plugins


@dataclass(frozen=True)
class CniConfigs:
    """The files that a runtime would take, in its order: by name."""

    configs: tuple[CniConfig, ...] = ()


@dataclass(frozen=True)
class DockerPools:
    """pools: CIDRs that Docker takes new networks from. bridge: docker0's, where daemon.json names them.

    own: whether the pools are daemon.json's. installed: there is a dockerd; without one there are no pools but daemon.json's.
    """

    installed: bool = False
    pools: tuple[str, ...] = ()
    bridge: tuple[str, ...] = ()
    own: bool = False


def parse_cni(text: str, path: str) -> CniConfig:
    """Of a .conf or .conflist. What is no such JSON comes back as broken."""
    try:
        data: Any = formats.parse_json(text, path)
        plugins = data.get("plugins") or [data]
        types = tuple(str(plugin["type"]) for plugin in plugins)
    except (formats.FormatError, TypeError, KeyError, AttributeError):
        return CniConfig(path, broken="is no CNI configuration")
    return CniConfig(path, str(data.get("name", "")), types, tuple(dict.fromkeys(_subnets(data))))


def _subnets(data: Any) -> Iterator[str]:
    """Every `subnet` below: ipam.subnet, ipam.ranges[][].subnet; and Calico's ipv4_pools and ipv6_pools."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            pools = value if key in ("ipv4_pools", "ipv6_pools") and isinstance(value, list) else ()
            yield from _networks([value] if key == "subnet" else pools)
            yield from _subnets(value)
    elif isinstance(data, list):
        for value in data:
            yield from _subnets(value)


def _networks(values: Any) -> Iterator[str]:
    """Those of the texts that are networks; Calico's pools may be names."""
    for value in values:
        try:
            yield str(ipaddress.ip_network(str(value), strict=False))
        except ValueError:
            continue


def parse_daemon(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(pools, networks of docker0) of daemon.json. Raises Unreadable."""
    try:
        data: Any = formats.parse_json(text, DAEMON) if text.strip() else {}
        pools = [pool["base"] for pool in data.get("default-address-pools") or ()]
        bridge = [data[key] for key in ("bip", "bip6", "fixed-cidr", "fixed-cidr-v6") if data.get(key)]
    except (formats.FormatError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(DAEMON, "is not the JSON that dockerd takes") from error
    return tuple(_networks(pools)), tuple(_networks(bridge))


def read_cni_configs(host: Reader) -> CniConfigs:
    paths = sorted(path for ending in _ENDINGS for path in glob(host, CNI_FOLDER, ending))
    return CniConfigs(tuple(_cni(host, path) for path in paths))


def _cni(host: Reader, path: str) -> CniConfig:
    try:
        return parse_cni(host.read(path) or "", path)
    except Unreadable as unreadable:  # Cilium's is root's alone; one file must not lose the others
        return CniConfig(path, broken=unreadable.reason)


def read_docker_pools(host: Reader) -> DockerPools:
    installed = any(host.stat(path) for path in _DOCKERD)
    pools, bridge = parse_daemon(host.read(DAEMON) or "")
    return DockerPools(installed, pools or (_DOCKER_OWN if installed else ()), bridge, own=bool(pools))


PROBES: tuple[Probe, ...] = (Probe(CniConfigs, read_cni_configs), Probe(DockerPools, read_docker_pools))
