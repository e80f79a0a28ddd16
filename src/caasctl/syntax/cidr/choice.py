"""The blocks that a range is chosen from, in a fixed order, so that every run of every version chooses the same."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

from caasctl.syntax.cidr import IPV4, IPV6, Network
from caasctl.syntax.cidr.obstacles import Taken

MAX_DIFFERENCE = 16  # bits between the pods' range and a node's share of it: kubeadm, ValidatePodSubnetNodeMask
LENGTHS = {4: (16, 18, 20), 6: (56,)}  # of blocks for pods, the first that is free
_SERVICES_6 = 112  # kubeadm takes /108 and longer
_BITS = {IPV4: 32, IPV6: 128}
_SHORTEST_6 = 48  # shorter shares of a node than /48 leave no room for services beside them
_TENS = tuple(dict.fromkeys((244, *range(200, 255))))  # 10.244.0.0/16 is what everybody knows
_BLOCKS_4 = (
    *(f"10.{n}.0.0/16" for n in _TENS),
    *(f"172.{n}.0.0/16" for n in range(20, 32)),
    "192.168.0.0/16",
    *(f"100.{n}.0.0/16" for n in range(64, 128)),
)
_SERVICE_BLOCKS_4 = tuple(f"10.{n}.0.0/16" for n in range(96, 112))
_PREFIXES_6 = tuple(f"fd{n:02x}:10" for n in range(256))


def pod_lengths(family: int, mask: int) -> tuple[int, ...]:
    """Prefix lengths of a pods' range that kubeadm takes with this share of a node; none where the share is no good."""
    if mask > _BITS[family]:
        return ()
    fit = tuple(length for length in LENGTHS[family] if length <= mask <= length + MAX_DIFFERENCE)
    if fit or family == IPV4 or mask < _SHORTEST_6:
        return fit
    return (mask - MAX_DIFFERENCE if mask > LENGTHS[IPV6][-1] else mask,)


@lru_cache
def pod_candidates(family: int, mask: int) -> tuple[Network, ...]:
    return tuple(_for_pods(family, mask))


@lru_cache
def service_candidates(family: int) -> tuple[Network, ...]:
    return tuple(_for_services(family))


def _for_pods(family: int, mask: int) -> Iterator[Network]:
    """One by one: of some 5,000 the first is free on most hosts."""
    lengths = pod_lengths(family, mask)
    if family == IPV4:
        return _slices(_BLOCKS_4, lengths)
    hosts = (*(f"fd00:10:{n}" for n in _TENS), *(f"{prefix}:244" for prefix in _PREFIXES_6[1:]))
    return _around(hosts, lengths)


def _for_services(family: int) -> Iterator[Network]:
    if family == IPV4:
        return chain(_slices(_SERVICE_BLOCKS_4, (16,)), _slices(_BLOCKS_4, LENGTHS[4]))
    hosts = (*(f"fd00:10:{n}" for n in range(96, 112)), *(f"{prefix}:96" for prefix in _PREFIXES_6[1:]))
    return _around(hosts, (_SERVICES_6,))


def _slices(blocks: Iterable[str], lengths: Iterable[int]) -> Iterator[Network]:
    networks = [ipaddress.ip_network(block) for block in blocks]
    for length in lengths:
        for network in networks:
            yield from network.subnets(new_prefix=length)


def _around(hosts: Iterable[str], lengths: Iterable[int]) -> Iterator[Network]:
    """The networks of these lengths that hold the addresses, each once."""
    at = [f"{host}::" for host in hosts]
    seen = dict.fromkeys(ipaddress.ip_network((host, length), strict=False) for length in lengths for host in at)
    yield from seen


def first_free(candidates: Iterable[Network], taken: Taken) -> Network | None:
    return next((one for one in candidates if not taken.overlaps(one)), None)


def pair(family: int, mask: int, taken: Taken) -> tuple[Network | None, Network | None]:
    """The first block for pods that leaves one for services, and that one; what cannot be had is None."""
    first, second = first_free(_for_pods(family, mask), taken), first_free(_for_services(family), taken)
    if first is None or second is None or not first.overlaps(second):
        return first, second
    pods, services = pod_candidates(family, mask), service_candidates(family)
    left = [one for one in services if not taken.overlaps(one)]
    for one in (one for one in pods if not taken.overlaps(one)):
        other = next((service for service in left if not service.overlaps(one)), None)
        if other:
            return one, other
    return first, None
