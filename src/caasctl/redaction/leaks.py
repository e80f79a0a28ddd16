"""Looks for what redaction should have taken out: secrets by their form, and all that it met, in forms that it may not know."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cached_property
from urllib.parse import unquote

from caasctl.hidden import HIDDEN
from caasctl.redaction.addresses import Addresses
from caasctl.redaction.hardware import BARE, DASHED, MAC, WITH_DASHED, WITH_MAC, any_of, kept
from caasctl.redaction.lines import Lines, Need
from caasctl.redaction.secrets import CERTAIN, FORMS, Form, matches
from caasctl.redaction.texts import (
    ADDRESS,
    DASHED_V4,
    MAC_ADDRESS,
    SERIAL,
    V4,
    V6,
    WITH_DASHED_V4,
    WITH_V4,
    WITH_V6,
    Redaction,
    address4,
    address6,
)  # fmt: skip

_HEXADECIMAL = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){8,}(?![0-9A-Za-z])")
_ENCODED = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{16,}={0,2}")
_DOTTED_MAC = re.compile(r"(?<![\w.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.])")
_WORD = re.compile(r"[^\s\"']+")
# Of kubeconfigs, and keys in PEM whose lines lost their frame: nothing else begins with these.
_KEY_DATA = re.compile(r"""client-key-data\\*["']?[ \t]*[:=][ \t]*\\*["']?(?!\\*["']?\(hidden\))[\w+/=]{8,}""")
_BARE_KEY = re.compile(r"(?:MII[EJ][\w+/]{2}IBAAK|MHcCAQEE|MC4CAQAw|MIG[HT]AgEA|b3BlbnNzaC1rZXktdjE)[\w+/=]{8,}")
_FORMS = (
    *FORMS,
    Form("key of a kubeconfig", _KEY_DATA, Need("text", (b"client-key-data",))),
    Form("private key", _BARE_KEY, Need("text", (b"MII", b"MHcCAQEE", b"MC4CAQAw", b"MIG", b"b3BlbnNzaC1rZXktdjE"))),
)
_MACS = ((MAC, WITH_MAC), (DASHED, WITH_DASHED), (_DOTTED_MAC, Need("hexadecimal", (b"aaaa.aaaa.aaaa",))))
_WITH_ESCAPE = Need("text", (b"%",))


class Scan:
    """What one recording must not hold. To be made when its redaction is done."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._addresses: Addresses = redaction.addresses
        self._clean: dict[str, set[str]] = {}  # words that say nothing in an encoding

    def leaks(self, text: str) -> Iterator[str]:
        """The kinds of what is left in a text, each once; never a value."""
        seen: set[str] = set()
        for kind in self._kinds(text, Lines(text)):
            if kind not in seen:
                seen.add(kind)
                yield kind

    def _kinds(self, text: str, lines: Lines) -> Iterator[str]:
        for form in _FORMS:
            if any(HIDDEN not in found[0] for found in matches(lines, form)):
                yield form.kind
        if any(secret in text for secret in self._secrets):
            yield "secret that stands elsewhere too"
        words = lines.words()
        yield from self._encoded(text, lines, words)
        yield from self._hardware(lines, words)
        if any(str(address) in self._public for address in self._read(lines)):
            yield ADDRESS

    def _encoded(self, text: str, lines: Lines, words: str) -> Iterator[str]:
        for kind, told, read in (
            ("base64", _ENCODED.findall(words), _from_base64),
            ("hexadecimal", _HEXADECIMAL.findall(words), _from_hexadecimal),
            ("a URL's escapes", (found[0] for found in lines.found(_WORD, _WITH_ESCAPE)), unquote),
        ):
            clean = self._clean.setdefault(kind, set())
            new = set(told) - clean
            if self._tells("\n".join(map(read, new))):
                yield f"secret in {kind}"
            else:
                clean |= new
        if "\\" in text and self._tells(_without_escapes(text)):
            yield "secret in escapes"

    def _tells(self, inner: str) -> bool:
        """Whether there is a secret in what words of other encodings say."""
        lines = Lines(inner)
        known = any(secret in inner for secret in self._secrets)
        return known or any(True for form in CERTAIN for _ in matches(lines, form))

    def _hardware(self, lines: Lines, words: str) -> Iterator[str]:
        macs = (
            *(found[0] for pattern, need in _MACS for found in lines.found(pattern, need)),
            *(found[2] for found in BARE.finditer(words)),
        )
        if any(re.sub("[:.-]", "", mac).lower() in self._macs for mac in macs if not kept(mac.replace(".", ""))):
            yield MAC_ADDRESS
        if self._serials and any(True for _ in lines.found(*self._serials)):
            yield SERIAL

    @staticmethod
    def _read(lines: Lines) -> Iterator[object]:
        for found in lines.found(V4, WITH_V4):
            yield address4(found[0])
        for found in lines.found(V6, *WITH_V6):
            yield address6(found[0])
        for found in lines.found(DASHED_V4, WITH_DASHED_V4):
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
    def _serials(self) -> tuple[re.Pattern[str], Need] | None:
        return any_of(one for one in self._redaction.hardware.serials if one.lower() not in self._redaction.images)


def _from_base64(token: str) -> str:
    plain = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("latin-1")
    except (binascii.Error, ValueError):
        return ""


def _from_hexadecimal(token: str) -> str:
    return bytes.fromhex(token).decode("latin-1")


def _without_escapes(text: str) -> str:
    return text.replace("\\n", "\n").replace('\\"', '"').replace("\\/", "/").replace("\\\\", "\\")
