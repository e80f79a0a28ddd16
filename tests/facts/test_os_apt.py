"""apt's sources, Release files and preferences on a tree, and Release files by a real `head`."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from tests.facts.test_os_swap import plant

from caasctl.facts.os_apt import PROBES, AptOffers, AptPins, AptReleases, AptSources, Release, parse_heads
from caasctl.host import LiveHost
from caasctl.protocol import Completed
from caasctl.syntax.debian.sources import Source

OFFERS, SOURCES, RELEASES, PINS = (probe.read for probe in PROBES)
IN_RELEASE = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Suite: stable-security
Codename: bookworm-security
Date: Sat, 21 Nov 2026 10:16:37 UTC
Valid-Until: Sat, 28 Nov 2026 10:16:37 UTC
"""
DATE = datetime(2026, 11, 21, 10, 16, 37, tzinfo=timezone.utc)


def test_a_tree_without_apt_and_one_with_sources(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    assert SOURCES(host) == AptSources(there=False)
    plant(tmp_path, {
        "/etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "/there.gpg": "",
        "/etc/apt/sources.list": "deb [signed-by=/there.gpg] http://a/debian bookworm main\n",
        "/etc/apt/sources.list.d/b.sources": "Types: deb\nURIs: file:/srv/m\nSuites: x\nSigned-By: /gone.gpg\n",
        "/etc/apt/sources.list.d/c.list.save": "deb http://never x y\n",
    })  # fmt: skip
    one = Source("/etc/apt/sources.list", "http://a/debian", "bookworm", "/there.gpg")
    two = Source("/etc/apt/sources.list.d/b.sources", "file:/srv/m", "x", "/gone.gpg")
    assert SOURCES(host) == AptSources(
        True, "bookworm", (one, two), frozenset({"/gone.gpg"}), frozenset({"/srv/m"}),
        keys_unread={"/there.gpg": "/there.gpg: it holds no OpenPGP public key"},
    )  # fmt: skip


def test_a_derivative_s_sources_are_of_its_base_too(tmp_path: Path) -> None:
    mint = "ID=linuxmint\nID_LIKE='ubuntu debian'\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n"
    plant(tmp_path, {"/etc/os-release": mint, "/etc/apt/x": ""})
    assert SOURCES(LiveHost(str(tmp_path))) == AptSources(True, "wilma", base="noble")


def test_heads_of_release_files() -> None:
    text = f"==> /a <==\n{IN_RELEASE}\n==> /b <==\nrubbish\n\n==> /c <==\nOrigin: X\nDate: no day\n"
    a, b, c = parse_heads(text)
    assert (a.origin, a.suite, a.codename, a.date) == ("Debian", "stable-security", "bookworm-security", DATE)
    assert a.until
    assert a.until > DATE
    assert (b, c) == (Release("/b"), Release("/c", "X"))
    assert list(parse_heads("")) == []


def test_release_files_are_read_by_head_where_there_are_any(tmp_path: Path) -> None:
    assert RELEASES(LiveHost(str(tmp_path))) == AptReleases()  # no command is asked of a tree without them
    host = Renamed(tmp_path)
    plant(tmp_path, {
        "/var/lib/apt/lists/deb_dists_x_InRelease": IN_RELEASE, "/srv/m/dists/x/Release": "Origin: local\nDate: Sat, 21 Nov 2026 10:16:37 UTC\n",
        "/etc/apt/sources.list": f"deb file:{tmp_path}/srv/m x main\ndeb file:/nowhere y main\n",
    })  # fmt: skip
    found = RELEASES(host)
    assert isinstance(found, AptReleases)
    assert [each.codename for each in found.fetched] == ["bookworm-security"]
    assert [(each.origin, each.date) for each in found.local[f"{tmp_path}/srv/m"]] == [("local", DATE)]


class Renamed(LiveHost):
    """This machine, with /etc/apt and /var/lib/apt of a tree."""

    def __init__(self, tree: Path) -> None:
        super().__init__()
        self.tree = tree

    def _inside(self, path: str, *, follow: bool = True) -> str:
        return (
            f"{self.tree}{path}"
            if path.startswith(("/etc/apt", "/var/lib/apt"))
            else super()._inside(path, follow=follow)
        )

    def query(self, *argv: str, timeout_s: float = 5.0):  # type: ignore[no-untyped-def]
        return super().query(
            *(f"{self.tree}{word}" if word.startswith("/var/lib/apt") else word for word in argv), timeout_s=timeout_s
        )


def test_preferences_without_caasctl_s_own(tmp_path: Path) -> None:
    record = "Package: kubelet\nPin: version 1\nPin-Priority: 900\n"
    folder = "/etc/apt/preferences.d"
    plant(
        tmp_path,
        {
            f"{folder}/a": record,
            f"{folder}/caasctl-x.pref": record,
            f"{folder}/b.dpkg-old": record,
            f"{folder}/c.pref": record,
        },
    )
    found = PINS(LiveHost(str(tmp_path)))
    assert isinstance(found, AptPins)
    assert [pin.path for pin in found.pins] == [f"{folder}/a", f"{folder}/c.pref"]


def test_apt_is_asked_for_offers_only_where_no_containerd_is_there(tmp_path: Path) -> None:
    class Offering(LiveHost):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            if argv[1] == "policy":
                return Completed(argv, 0, "containerd:\n  Installed: (none)\n  Candidate: 1.7.24~ds1-6\n")
            rows = (("2.1.4~bpo13+1", "trixie-backports"), ("1.7.24~ds1-6", "trixie"))
            return Completed(
                argv, 0, "".join(f"containerd | {v} | http://a {s}/main amd64 Packages\n" for v, s in rows)
            )

    host = Offering(str(tmp_path))
    assert OFFERS(host) == AptOffers()  # nothing was fetched
    plant(tmp_path, {"/var/lib/apt/lists/x_InRelease": ""})
    assert OFFERS(host) == AptOffers({"containerd": ("1.7.24~ds1-6", "2.1.4~bpo13+1")})
    plant(tmp_path, {"/usr/bin/containerd": ""})
    (tmp_path / "usr/bin/containerd").chmod(0o755)
    assert OFFERS(host) == AptOffers()
