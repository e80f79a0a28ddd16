"""The texts of one recording without secrets, and with other names for hardware and public addresses: the same everywhere in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from os import urandom

from caasctl.hidden import HIDDEN
from caasctl.redaction import hexadecimal, secrets
from caasctl.redaction.addresses import Addresses
from caasctl.redaction.hardware import BARE, DASHED, MAC, WITH_BARE, WITH_DASHED, WITH_MAC, Hardware, any_of, kept
from caasctl.redaction.hexadecimal import Address
from caasctl.redaction.lines import Lines, Need

ADDRESS, MAC_ADDRESS, SERIAL = "public address", "MAC address", "serial number"
# What may not stand before comes behind the first digit: a search that begins with a digit is three times as fast.
V4 = re.compile(r"\d(?<![\d.]\d)\d{0,2}\.(?:\d{1,3}\.){2}\d{1,3}(?!\d|\.\d)")
V6 = re.compile(r"(?<![\w.])(?<![0-9A-Fa-f]:)(?<!::)(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?!\w|\.\d)")
DASHED_V4 = re.compile(r"\d(?<!\d\d)(?<!\d-\d)\d{0,2}(?:-\d{1,3}){3}(?!\d|-\d)")
WITH_V4, WITH_DASHED_V4 = Need("no digits", (b"...",)), Need("no digits", (b"---",))
WITH_V6 = (Need("text", (b"::",)), Need("no hexadecimal", (b":::::::",)))  # a short one; one in full
_NETMASK = re.compile(rf"({V4.pattern})[ \t]*\n?[ \t]*(?:netmask|mask)[ \t]+({V4.pattern})")
_WITH_NETMASK = Need("text", (b"mask ", b"mask\t"))
_LENGTH = re.compile(r"/(\d{1,3})(?!\d|\.)")
# What stands around four numbers that are a version.
_BEFORE_VERSION = re.compile(
    r"""(?i)(?:(?:version|release|firmware|fw|revision|bios|driver|vbios)["']?[ \t]*[:=]?[ \t]*["'(v]*|(?:[<>~]=|<<|>>)[ \t]*|[A-Za-z)][-_]?)$"""
)
_AFTER_VERSION = re.compile(rf"[A-Za-z_+~]|-(?!{V4.pattern})\w")
_OF_VERSIONS = re.compile(
    r"(?:\S*/)?(?:dpkg(?:-query)?|rpm|modinfo|apt-cache|apt) .*|/\S*(?:version|fw_ver|firmware_rev)|/var/lib/dpkg/\S*"
)
_AROUND = 24  # characters


class Redaction:
    """hide, for all texts of a recording; then rename, for all of them: what is met in one is replaced in each.

    counts: how often what was replaced. known: the secrets that were met.
    """

    def __init__(self, key: bytes = b"") -> None:
        key = key or urandom(32)  # of this recording, kept nowhere: nobody can ask it what an address became
        self.counts: Counter[str] = Counter()
        self.known: set[str] = set()
        self.images: set[str] = set()
        self.addresses, self.hardware = Addresses(key), Hardware(key)

    # -- first: secrets go, the rest is met ----------------------------------------------------------------------------
    def hide(self, where: str, text: str) -> str:
        """The text without secrets; what is to be renamed is noted. where: a path, a command's words, or ""."""
        lines = secrets.without(text, self._secret)
        self.hardware.meet(where, lines)
        for address, length in hexadecimal.networks(where, lines.text):
            self.addresses.network(address, length)
        for address in hexadecimal.addresses(where, lines.text):
            self._meet(address)
        for start, netmask in self._netmasks(lines):
            mask = address4(netmask)
            if mask and (first := address4(start)):
                self.addresses.network(first, int(mask).bit_count())
        for found in () if _OF_VERSIONS.fullmatch(where) else lines.found(V4, WITH_V4):
            if not _is_version(found):
                self._meet_in(found, address4(found[0]))
        for found in lines.found(V6, *WITH_V6):
            self._meet_in(found, address6(found[0]))
        return lines.text

    @staticmethod
    def _netmasks(lines: Lines) -> Iterator[tuple[str, str]]:
        """(address, netmask), also of an address whose netmask stands on the next line."""
        for at in lines.having(_WITH_NETMASK):
            yield from _NETMASK.findall("\n".join(lines[one] for one in (at - 1, at) if one >= 0))

    def _secret(self, kind: str, value: str) -> None:
        self.counts[kind] += 1
        self.known.update(secrets.plain(value))
        if kind == secrets.IN_URL:
            self.known.update(secrets.plain(value.partition(":")[2]))

    def _meet_in(self, found: re.Match[str], address: Address | None) -> None:
        if address is None:
            return
        self._meet(address)
        length = _LENGTH.match(found.string, found.end())
        if length and int(length[1]) <= address.max_prefixlen:
            self.addresses.network(address, int(length[1]))

    def _meet(self, address: Address) -> None:
        self.addresses.meet(address)
        if isinstance(address, IPv6Address) and (mac := _mac_in(address)) and not kept(mac):
            self.hardware.macs.add(mac)

    # -- then: the same names everywhere -------------------------------------------------------------------------------
    def rename(self, where: str, text: str) -> str:
        """A text that went through `hide`, with every secret that any text had hidden, and everything met under its other name."""
        lines = Lines(hexadecimal.renamed(where, self._without_known(text), self._image))
        if self._serials:
            lines.sub(
                self._serials[0], lambda found: self._note(SERIAL, self.hardware.serial(found[0])), self._serials[1]
            )
        for pattern, need in ((MAC, WITH_MAC), (DASHED, WITH_DASHED)):
            lines.sub(pattern, lambda found: found[0] if kept(found[0]) else self._mac(found[0]), need)
        if any(found[2].lower() in self.hardware.macs for found in BARE.finditer(lines.words())):
            lines.sub(BARE, lambda found: (found[1] or "") + self._mac(found[2]) if found[2].lower() in self.hardware.macs else found[0], *WITH_BARE)  # fmt: skip
        lines.sub(V6, self._in_text(address6), *WITH_V6)
        lines.sub(V4, self._in_text(address4), WITH_V4)
        lines.sub(DASHED_V4, self._in_text(lambda plain: address4(plain.replace("-", ".")), "-"), WITH_DASHED_V4)
        return lines.text

    def _without_known(self, text: str) -> str:
        for secret in self._longest_first:
            if secret in text:
                self.counts["secret met elsewhere"] += text.count(secret)
                text = text.replace(secret, HIDDEN)
        if not self.known:
            return text
        lines = Lines(text)
        secrets.hide_words(lines, self._says_a_known, self._hidden_word)
        return lines.text

    def _says_a_known(self, token: str) -> bool:
        inner = secrets.decoded(token)
        return inner is not None and any(secret in inner for secret in self._longest_first)

    def _hidden_word(self, token: str) -> None:
        self.known.add(token)
        self.counts["secret in base64"] += 1

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted(self.known, key=lambda secret: (-len(secret), secret))

    @cached_property
    def _serials(self) -> tuple[re.Pattern[str], Need] | None:
        return any_of(self.hardware.serials)

    def _mac(self, text: str) -> str:
        return self._note(MAC_ADDRESS, self.hardware.mac(text))

    def _note(self, kind: str, image: str) -> str:
        self.counts[kind] += 1
        self.images.add(image.lower())
        return image

    def _in_text(self, read: Callable[[str], Address | None], between: str = ".") -> Callable[[re.Match[str]], str]:
        def one(found: re.Match[str]) -> str:
            address = read(found[0])
            image = address and self._image(address)
            rest = ":" if found[0].endswith(":") and not found[0].endswith("::") else ""
            return found[0] if image is None else str(image).replace(".", between) + rest

        return one

    def _image(self, address: Address) -> Address | None:
        """What stands for an address; None for one that stays."""
        image: Address = address
        if str(address) in self.addresses.met:
            image = (
                self.addresses.image4(address) if isinstance(address, IPv4Address) else self.addresses.image6(address)
            )
            self._note(ADDRESS, str(image))
        if (
            isinstance(address, IPv6Address)
            and isinstance(image, IPv6Address)
            and (mac := _mac_in(address))
            and not kept(mac)
        ):
            new = bytearray.fromhex(self._mac(mac))
            new[0] ^= 2
            image = IPv6Address(image.packed[:8] + bytes(new[:3]) + b"\xff\xfe" + bytes(new[3:]))
            self.images.add(str(image))
        return None if image is address else image


@lru_cache(maxsize=1 << 14)
def address4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


@lru_cache(maxsize=1 << 14)
def address6(text: str) -> IPv6Address | None:
    """An address; also one with a colon behind it that is the sentence's."""
    for plain in (text, text.removesuffix(":")):
        try:
            return IPv6Address(plain)
        except AddressValueError:
            continue
    return None


def _mac_in(address: IPv6Address) -> str:
    """The MAC address that an interface id holds (EUI-64), without colons; "" where it holds none."""
    data = address.packed[8:]
    outside = address.is_multicast or address.is_loopback or address.ipv4_mapped is not None
    return "" if data[3:5] != b"\xff\xfe" or outside else bytes((data[0] ^ 2, *data[1:3], *data[5:])).hex()


def _is_version(found: re.Match[str]) -> bool:
    """Whether four numbers are a version, by what stands around them."""
    before = found.string[max(0, found.start() - _AROUND) : found.start()]
    return _BEFORE_VERSION.search(before) is not None or _AFTER_VERSION.match(found.string, found.end()) is not None
