"""Looks for what redaction should have taken out: secrets by their form, and all that it met, in forms that it may not know."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import unquote

from caasctl.hidden import HIDDEN
from caasctl.redaction import secrets
from caasctl.redaction.addresses import Addresses
from caasctl.redaction.hardware import BARE, DASHED, MAC, any_of, kept
from caasctl.redaction.texts import ADDRESS, DASHED_V4, MAC_ADDRESS, SERIAL, V4, V6, Redaction, address4, address6

_HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){8,}(?![0-9A-Za-z])")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{16,}={0,2}")
_DOTTED_MAC = re.compile(r"(?<![\w.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.])")
_WORD = re.compile(r"[^\s\"']+")
# Of kubeconfigs, and keys in PEM whose lines lost their frame: nothing else begins with these.
_KEY_DATA = re.compile(r"""client-key-data\\*["']?[ \t]*[:=][ \t]*\\*["']?(?!\\*["']?\(hidden\))[\w+/=]{8,}""")
_BARE_KEY = re.compile(r"(?:MII[EJ][\w+/]{2}IBAAK|MHcCAQEE|MC4CAQAw|MIG[HT]AgEA|b3BlbnNzaC1rZXktdjE)[\w+/=]{8,}")
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    *secrets.FORMS,
    ("key of a kubeconfig", _KEY_DATA),
    ("private key", _BARE_KEY),
)


class Scan:
    """What one recording must not hold. To be made when its redaction is done."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._addresses: Addresses = redaction.addresses

    def leaks(self, text: str) -> Iterator[str]:
        """The kinds of what is left in a text, each once; never a value."""
        seen: set[str] = set()
        for kind in self._kinds(text):
            if kind not in seen:
                seen.add(kind)
                yield kind

    def _kinds(self, text: str) -> Iterator[str]:
        for kind, pattern in _FORMS:
            if any(HIDDEN not in found[0] for found in pattern.finditer(text)):
                yield kind
        if any(secret in text for secret in self._secrets):
            yield "secret that stands elsewhere too"
        for kind, inner in self._inside(text):
            if any(secret in inner for secret in self._secrets) or any(p.search(inner) for _, p in _FORMS[:4]):
                yield f"secret in {kind}"
        yield from self._hardware(text)
        if any(str(address) in self._public for address in self._read(text)):
            yield ADDRESS

    @staticmethod
    def _inside(text: str) -> Iterator[tuple[str, str]]:
        """What words of other encodings say."""
        for found in _ENCODED.finditer(text):
            yield "base64", _from_base64(found[0])
        for found in _HEXADECIMAL.finditer(text):
            yield "hexadecimal", bytes.fromhex(found[0]).decode("latin-1")
        for found in _WORD.finditer(text) if "%" in text else ():
            if "%" in found[0]:
                yield "a URL's escapes", unquote(found[0])
        if "\\" in text:
            yield "escapes", text.replace("\\n", "\n").replace('\\"', '"').replace("\\/", "/").replace("\\\\", "\\")

    def _hardware(self, text: str) -> Iterator[str]:
        macs = (
            *MAC.findall(text),
            *DASHED.findall(text),
            *_DOTTED_MAC.findall(text),
            *(bare for _, bare in BARE.findall(text)),
        )
        if any(re.sub("[:.-]", "", mac).lower() in self._macs for mac in macs if not kept(mac.replace(".", ""))):
            yield MAC_ADDRESS
        if self._serials and self._serials.search(text):
            yield SERIAL

    @staticmethod
    def _read(text: str) -> Iterator[object]:
        for pattern, read in ((V4, address4), (V6, address6)):
            for found in pattern.finditer(text):
                yield read(found[0])
        for found in DASHED_V4.finditer(text):
            yield address4(found[0].replace("-", "."))

    # What was met, less what now stands for something else: one address of a network may have become another of it.
    @cached_property
    def _secrets(self) -> tuple[str, ...]:
        return tuple(self._redaction.known)

    @cached_property
    def _macs(self) -> set[str]:
        return self._redaction.hardware.macs - {re.sub("[:-]", "", image) for image in self._redaction.images}

    @cached_property
    def _public(self) -> set[str]:
        return self._addresses.met - self._redaction.images

    @cached_property
    def _serials(self) -> re.Pattern[str] | None:
        return any_of(one for one in self._redaction.hardware.serials if one.lower() not in self._redaction.images)


def _from_base64(token: str) -> str:
    plain = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""
