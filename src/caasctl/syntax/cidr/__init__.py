"""Arithmetic of a cluster's networks: the ranges of pods and services, and what follows from them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Union

from caasctl.frozen import dataclass

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
IPV4, IPV6 = 4, 6
API_OFFSET, DNS_OFFSET = 1, 10  # kubeadm: cmd/kubeadm/app/constants, GetAPIServerVirtualIP and GetDNSIP


@dataclass(frozen=True)
class Ranges:
    """The networks of a cluster, one of each family in use, the first family the one that services get by default.

    masks: prefix length of a node's share of the pods' network, one for each of `pods`.
    """

    pods: tuple[Network, ...]
    services: tuple[Network, ...]
    masks: tuple[int, ...]

    @property
    def families(self) -> tuple[int, ...]:
        """(4,), (6,), or both in the order of preference."""
        return tuple(network.version for network in self.pods)

    @property
    def pod_subnet(self) -> str:
        """As kubeadm's networking.podSubnet wants it."""
        return words(self.pods)

    @property
    def service_subnet(self) -> str:
        return words(self.services)

    @property
    def dns(self) -> tuple[str, ...]:
        """The addresses of the cluster's DNS service."""
        return tuple(str(network[DNS_OFFSET]) for network in self.services)

    @property
    def api(self) -> tuple[str, ...]:
        """The addresses of the service `kubernetes`."""
        return tuple(str(network[API_OFFSET]) for network in self.services)

    def mask(self, family: int) -> int | None:
        return next(
            (mask for network, mask in zip(self.pods, self.masks, strict=True) if network.version == family), None
        )


def parse(text: str) -> tuple[Network, ...]:
    """The networks of "10.244.0.0/16,fd00:10:244::/56", host bits cleared. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(","))


def words(networks: Iterable[Network]) -> str:
    """As a profile and kubeadm's subnets write them."""
    return ",".join(str(network) for network in networks)


def of_family(networks: Iterable[Network], family: int) -> tuple[Network, ...]:
    return tuple(network for network in networks if network.version == family)
