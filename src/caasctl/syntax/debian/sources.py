"""Where apt takes packages from: lines of *.list and stanzas of *.sources, as sources.list(5) describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from caasctl.frozen import dataclass
from caasctl.syntax.debian.stanzas import stanzas

_LINE = re.compile(
    r"^\s*(deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>cdrom:\[[^\]]*\]\S*|\S+)\s+(?P<suite>\S+)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_YES = ("yes", "true", "1", "on", "enable", "with")  # apt's StringToBool
_NO = ("no", "false", "0", "off", "disable", "without")


@dataclass(frozen=True)
class Source:
    """One place of binary packages. path: the file that names it. uri: with its credentials masked, no slash at the end.

    signed_by: the paths or fingerprints of `Signed-By`, "" without, "(inline)" for a key in the file itself.
    checks_dates: apt refuses a Release file that has expired. trusted: apt takes its packages whoever signed them, or nobody.
    """

    path: str
    uri: str
    suite: str
    signed_by: str = ""
    checks_dates: bool = True
    trusted: bool = False

    @property
    def scheme(self) -> str:
        return self.uri.partition(":")[0].lower()

    @property
    def keyrings(self) -> tuple[str, ...]:
        """The files that `Signed-By` names; fingerprints in it are none."""
        return tuple(word for word in re.split(r"[\s,]+", self.signed_by) if word.startswith("/"))

    @property
    def ours(self) -> bool:
        """Whether a file of caasctl's names it."""
        return "/caasctl-" in self.path

    @property
    def host(self) -> str:
        """Of a place on another machine, without a port; "" of any other."""
        return (urlsplit(self.uri).hostname or "") if self.scheme in ("http", "https") else ""

    @property
    def folder(self) -> str:
        """Of a place on this host (file:, copy:); "" of any other."""
        return urlsplit(self.uri).path if self.scheme in ("file", "copy") else ""


def parse(path: str, text: str) -> tuple[Source, ...]:
    """The sources that are enabled; deb-src is left out: caasctl installs no source package."""
    read = _deb822 if path.endswith(".sources") else _one_line
    return tuple(read(path, text))


def _one_line(path: str, text: str) -> Iterator[Source]:
    for line in text.splitlines():
        said = _LINE.match(line)
        if said and said[1] == "deb":
            options = dict(word.partition("=")[::2] for word in (said["options"] or "").lower().split())
            named = dict(word.partition("=")[::2] for word in (said["options"] or "").split())
            signed = next((value for key, value in named.items() if key.lower() == "signed-by"), "")
            yield _source(path, said["uri"], said["suite"], signed, options)


def _deb822(path: str, text: str) -> Iterator[Source]:
    for stanza in stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() in _NO:
            continue
        signed = stanza.get("signed-by", "")
        told = "(inline)" if "BEGIN PGP" in signed else " ".join(signed.split())
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                yield _source(path, uri, suite, told, stanza)


def _source(path: str, uri: str, suite: str, signed_by: str, options: Mapping[str, str]) -> Source:
    checks = options.get("check-valid-until", "yes").lower() not in _NO
    return Source(
        path,
        _CREDENTIALS.sub("***@", uri).rstrip("/"),
        suite,
        signed_by,
        checks,
        options.get("trusted", "").strip().lower() in _YES,
    )
