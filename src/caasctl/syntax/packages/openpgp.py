"""OpenPGP public keys: their fingerprints, and one key taken out of a file, armored or binary (RFC 9580)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)
_PUBLIC_KEY, _NEW, _PACKET = 6, 0x40, 0x80
_LENGTHS = {0: 1, 1: 2, 2: 4}  # of the old format: octets that hold a packet's length
_SHORT, _PARTIAL, _LONG = 192, 224, 255  # of the new format: where the kinds of lengths begin


class NoKey(Exception):  # noqa: N818 - whoever reads the file says what that means
    """The file holds no OpenPGP key that can be read; the text is one clause."""


def keys(data: bytes) -> dict[str, bytes]:
    """Every primary key in a file: fingerprint (hex, upper case) -> the key as binary packets. Raises NoKey."""
    found: dict[str, list[bytes]] = {}
    now: list[bytes] = []
    for tag, body, whole in _packets(_binary(data)):
        if tag == _PUBLIC_KEY:
            now = found.setdefault(_fingerprint(body), [])
        now.append(whole)  # what comes before the first key belongs to none
    if not found:
        raise NoKey("it holds no OpenPGP public key")
    return {fingerprint: b"".join(parts) for fingerprint, parts in found.items()}


def _binary(data: bytes) -> bytes:
    if not data.lstrip().startswith(b"-----BEGIN"):
        return data
    blocks = [_dearmored(found[1]) for found in _ARMOR.finditer(data)]
    if not blocks:
        raise NoKey("it holds no block of a public key")
    return b"".join(blocks)


def _dearmored(block: bytes) -> bytes:
    """What lies between a block's headers, which end with an empty line, and its checksum, which begins with =."""
    text = block.replace(b"\r", b"")
    _, blank, body = text.partition(b"\n\n")
    lines = [line for line in (body if blank else text).split(b"\n") if not line.startswith(b"=")]
    try:
        return base64.b64decode(b"".join(lines), validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoKey("its armor is damaged") from error


def _packets(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, body, the packet with its header). Raises NoKey."""
    at = 0
    while at < len(data):
        head = data[at]
        if not head & _PACKET:
            raise NoKey("it is no OpenPGP key: an HTML page, or an error in words?")
        tag, (begin, size) = (head & 0x3F, _new(data, at + 1)) if head & _NEW else ((head >> 2) & 0xF, _old(data, at))
        if begin + size > len(data):
            raise NoKey("it is cut off")
        yield tag, data[begin : begin + size], data[at : begin + size]
        at = begin + size


def _old(data: bytes, at: int) -> tuple[int, int]:
    octets = _LENGTHS.get(data[at] & 3)
    if octets is None or at + 1 + octets > len(data):
        raise NoKey("it is cut off")
    return at + 1 + octets, int.from_bytes(data[at + 1 : at + 1 + octets], "big")


def _new(data: bytes, at: int) -> tuple[int, int]:
    first = data[at] if at < len(data) else _PARTIAL
    if first < _SHORT:
        return at + 1, first
    if first < _PARTIAL and at + 1 < len(data):
        return at + 2, ((first - _SHORT) << 8) + data[at + 1] + _SHORT
    if first == _LONG and at + 4 < len(data):
        return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise NoKey("it is cut off")


def _fingerprint(body: bytes) -> str:
    """Version 4: SHA-1 over 0x99, two octets of length and the packet's body; version 6: SHA-256 with 0x9B and four."""
    version = body[0] if body else 0
    if version == 4:  # noqa: PLR2004 - a version
        hashed = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
        return hashed.hexdigest().upper()
    if version == 6:  # noqa: PLR2004 - a version
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise NoKey(f"it holds a key of version {version}; 4 and 6 have fingerprints that can be trusted")
