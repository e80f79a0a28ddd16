"""MAC addresses and serial numbers under other names, of the same form: what is compared still compares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from caasctl.redaction.lines import Lines, Need

_PAIR = "[0-9A-Fa-f]{2}"
MAC = re.compile(rf"(?<![0-9A-Fa-f]:)(?<![0-9A-Za-z])(?:{_PAIR}:){{5,19}}{_PAIR}(?![0-9A-Za-z]|:[0-9A-Fa-f])")
DASHED = re.compile(rf"(?<![0-9A-Fa-f]-)(?<![0-9A-Za-z])(?:{_PAIR}-){{5}}{_PAIR}(?![0-9A-Za-z]|-[0-9A-Fa-f])")
BARE = re.compile(r"(?<![0-9A-Za-z])(enx)?([0-9A-Fa-f]{12})(?![0-9A-Za-z])")
WITH_MAC = Need("hexadecimal", (b"aa:aa:aa:aa:aa:aa",))
WITH_DASHED = Need("hexadecimal", (b"aa-aa-aa-aa-aa-aa",))
WITH_BARE = (Need("words", (b" aaaaaaaaaaaa ",)), Need("text", (b"enx",)))
_MAC_BYTES = 6
# Where a serial number stands alone, and what it is called elsewhere.
_FILES = re.compile(
    r"/sys/.*/dmi/id/(?:\w+_serial|product_uuid|\w+_asset_tag)|/sys/.*/(?:serial|serial_number|wwid|wwn|unique_id)"
    r"|/etc/machine-id|/var/lib/dbus/machine-id"
)
IDENTITIES = ("/etc/machine-id", *(f"/sys/class/dmi/id/{name}" for name in
              ("product_serial", "product_uuid", "board_serial", "chassis_serial", "board_asset_tag", "chassis_asset_tag")))  # fmt: skip
_NAMED = re.compile(
    r"""(?i)(?<![A-Za-z0-9])(?:serial(?:[ _-]?(?:number|no|num|short))*|asset[ _-]?tag|machine[-_ ]?id|system[ _-]?uuid|product_uuid)"""
    r"""\\?["']?[ \t]*[:=][ \t]*\\?["']?([A-Za-z0-9][\w./:-]{4,63})"""
)
_FORMS = re.compile(
    r"\b(?:GPU|MIG)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b|\b(?:eui|naa|uuid)\.([0-9a-f]{16,32})\b|\bwwn-0x([0-9a-f]{16,32})\b"
    r"|/loader/entries/([0-9a-f]{32})-|/disk/by-id/(?:ata|nvme|scsi|usb|mmc|virtio|google)-(?:[\w.:+-]*_)?([A-Za-z0-9-]{6,}?)(?:[-_]part\d+|_\d+|:\d+)?(?![\w.:+-])"
)
_WITH_NAMED = Need("lower", (b"serial", b"asset", b"machine", b"uuid"))
_WITH_FORM = Need(
    "text", (b"GPU-", b"MIG-", b"eui.", b"naa.", b"uuid.", b"wwn-0x", b"/loader/entries/", b"/disk/by-id/")
)
_UUID = re.compile(r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGITS, _LETTERS, _HEX = "0123456789", "abcdefghijklmnopqrstuvwxyz", "0123456789abcdef"
_SHORTEST = 6  # a shorter one would be found in the middle of other things


class Hardware:
    """What stands for the MAC addresses and serial numbers of one recording."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.macs: set[str] = set()
        self.serials: set[str] = set()

    def meet(self, where: str, lines: Lines) -> None:
        """Notes the addresses and numbers in a text. where: the path it was read from, "" for other texts."""
        for found in (*lines.found(MAC, WITH_MAC), *lines.found(DASHED, WITH_DASHED)):
            if not kept(found[0]):
                self.macs.add(_plain(found[0]))
        self.macs |= {found[2].lower() for found in lines.found(BARE, WITH_BARE[1]) if found[1]}
        for one in self._serials(where, lines):
            if worth(one):
                self.serials |= {one, one.replace("-", "")} if _UUID.fullmatch(one) else {one}

    @staticmethod
    def _serials(where: str, lines: Lines) -> Iterator[str]:
        if _FILES.fullmatch(where):
            yield lines.text.strip()
        for found in lines.found(_NAMED, _WITH_NAMED):
            yield found[1]
        for found in lines.found(_FORMS, _WITH_FORM):
            yield from filter(None, found.groups())

    def mac(self, text: str) -> str:
        """What stands for a MAC address, in its own way of writing: locally administered, and of one device."""
        plain = _plain(text)
        data = bytearray(self._bytes(f"mac {plain}", len(plain) // 2))
        if len(data) == _MAC_BYTES:
            data[0] = data[0] & 0xFC | 0x02
        between = ":" if ":" in text else "-" if "-" in text else ""
        image = between.join(f"{byte:02x}" for byte in data)
        return image.upper() if text.upper() == text and text.lower() != text else image

    def serial(self, text: str) -> str:
        """Digits for digits and letters for letters, hexadecimal for hexadecimal: a UUID stays one."""
        hexadecimal = re.fullmatch(r"[0-9a-f-]*[a-f][0-9a-f-]*", text.lower()) is not None
        plain = text.lower().replace("-", "") if hexadecimal else text
        data, upper = iter(self._bytes(f"serial {plain}", len(plain))), text.upper() == text
        image = []
        for sign in text:
            if not (sign.isalnum() and sign.isascii()):
                image.append(sign)
                continue
            kind = _HEX if hexadecimal else _DIGITS if sign.isdigit() else _LETTERS
            new = kind[next(data) % len(kind)]
            image.append(new.upper() if upper or sign.isupper() else new)
        return "".join(image)

    def _bytes(self, what: str, size: int) -> bytes:
        blocks = (
            blake2b(b"%d %s" % (at, what.encode("utf-8", "surrogateescape")), key=self._key).digest()
            for at in range(size // 64 + 1)
        )
        return b"".join(blocks)[:size]


def _plain(mac: str) -> str:
    return mac.replace(":", "").replace("-", "").lower()


def kept(mac: str) -> bool:
    """Whether a MAC address is no device's: nothing, everyone, a group."""
    plain = _plain(mac)
    return len(set(plain)) == 1 or (len(plain) == 2 * _MAC_BYTES and bool(int(plain[:2], 16) & 1))


def worth(serial: str) -> bool:
    """Whether a serial number is one, and not what a maker left in its place."""
    plain = re.sub(r"[^0-9A-Za-z]", "", serial)
    digits = sum(sign.isdigit() for sign in plain)
    words = "filled" in plain.lower() or plain.lower() in ("0123456789", "123456789", "notspecified")
    return len(plain) >= _SHORTEST and digits > 1 and len(set(plain)) > 2 and not words and len(serial) < 70  # noqa: PLR2004


def any_of(serials: Iterable[str]) -> tuple[re.Pattern[str], Need] | None:
    """A pattern for where serial numbers stand, the longest first, and what it needs; None where there are none."""
    met = sorted(serials, key=lambda one: (-len(one), one))
    if not met:
        return None
    words = "|".join(map(re.escape, met))
    need = Need("lower", tuple({one.encode("utf-8", "replace").lower() for one in met}))
    return re.compile(rf"(?i)(?:(?<![A-Za-z0-9])|(?<=\b0x))(?:{words})(?![A-Za-z0-9])"), need
