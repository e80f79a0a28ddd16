"""Public IP addresses under other names: two that share a prefix still do, and none becomes private or special."""

from __future__ import annotations

from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# What IANA keeps for itself, for documents, for one link or one site: nobody is found by it.
_SPECIAL_V4 = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "128.0.0.0/32", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
)  # fmt: skip
_SPECIAL_V6 = ("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "3fff::/20")
_MAPPED = 0xFFFF << 32  # ::ffff:8.8.8.8 as IPv6 has it


class Family:
    """The addresses of one IP version as a tree of bits, in the manner of Crypto-PAn: a key says at which nodes 0 and 1 swap.

    A node below which anything special lies never swaps, so that special addresses stay and no other one becomes special. Nor does
    one on the way to the first or last address of a network that was seen: its name still ends in zeros, its broadcast in ones.
    """

    def __init__(self, key: bytes, networks: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self.bits = networks[0].max_prefixlen
        self._key = key
        self._special: set[tuple[int, int]] = set()
        self._still: set[tuple[int, int]] = set()
        self._known: dict[int, int] = {}
        for network in networks:
            number, length = int(network.network_address), network.prefixlen
            self._special.add((length, number >> (self.bits - length)))
            self._still |= {(depth, number >> (self.bits - depth)) for depth in range(length)}

    def network(self, number: int, length: int) -> None:
        """Notes the network that an address lies in. To be called before any address is asked for."""
        if not 0 < length < self.bits:
            return
        host = (1 << (self.bits - length)) - 1
        for end in (number & ~host, number | host):
            self._still |= {(depth, end >> (self.bits - depth)) for depth in range(length, self.bits)}

    def special(self, number: int) -> bool:
        return any((depth, number >> (self.bits - depth)) in self._special for depth in range(self.bits + 1))

    def image(self, number: int) -> int:
        """What stands for an address: the address itself where it is special."""
        if number not in self._known:
            self._known[number] = number if self.special(number) else self._swapped(number)
        return self._known[number]

    def _swapped(self, number: int) -> int:
        image = 0
        for depth in range(self.bits):
            node = (depth, number >> (self.bits - depth))
            bit = number >> (self.bits - 1 - depth) & 1
            image = image << 1 | (bit if node in self._still else bit ^ self._swaps(node))
        return image

    def _swaps(self, node: tuple[int, int]) -> int:
        return blake2b(b"%d/%d/%x" % (self.bits, *node), key=self._key, digest_size=1).digest()[0] & 1


def v4(key: bytes) -> Family:
    return Family(key, tuple(IPv4Network(text) for text in _SPECIAL_V4))


def v6(key: bytes) -> Family:
    return Family(key, tuple(IPv6Network(text) for text in _SPECIAL_V6))


class Addresses:
    """Both families under one key. met: the public addresses seen, as text."""

    def __init__(self, key: bytes) -> None:
        self.v4, self.v6 = v4(key), v6(key)
        self.met: set[str] = set()

    def network(self, address: IPv4Address | IPv6Address, length: int) -> None:
        (self.v4 if address.version == 4 else self.v6).network(int(address), length)  # noqa: PLR2004 - IP's version

    def meet(self, address: IPv4Address | IPv6Address) -> None:
        if self.public(address):
            self.met.add(str(address))

    def public(self, address: IPv4Address | IPv6Address) -> bool:
        if isinstance(address, IPv4Address):
            return not self.v4.special(int(address))
        inner = address.ipv4_mapped
        return not (self.v4.special(int(inner)) if inner else self.v6.special(int(address)))

    def image4(self, address: IPv4Address) -> IPv4Address:
        return IPv4Address(self.v4.image(int(address)))

    def image6(self, address: IPv6Address) -> IPv6Address:
        inner = address.ipv4_mapped
        return IPv6Address(_MAPPED | self.v4.image(int(inner)) if inner else self.v6.image(int(address)))
