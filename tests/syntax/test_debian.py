"""Texts of dpkg and apt: stanzas, sources, configuration, preferences."""

from __future__ import annotations

import pytest

from caasctl.syntax.debian import conf, pins, sources
from caasctl.syntax.debian.sources import Source
from caasctl.syntax.debian.stanzas import stanzas

LIST, DEB822 = "/etc/apt/sources.list", "/etc/apt/sources.list.d/x.sources"


def test_stanzas_with_lines_that_go_on_and_comments() -> None:
    text = "# head\nOne: 1\nTwo: a\n b\n# in between\n .\n\n\nOne: 2\n"
    assert list(stanzas(text)) == [{"one": "1", "two": "a\nb\n."}, {"one": "2"}]
    assert list(stanzas("")) == []
    assert list(stanzas(" no field\nx\n")) == [{"x": ""}]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("deb http://deb.debian.org/debian bookworm main", Source(LIST, "http://deb.debian.org/debian", "bookworm")),
        (
            "deb [arch=amd64 signed-by=/etc/apt/keyrings/k.gpg] https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /",
            Source(LIST, "https://pkgs.k8s.io/core:/stable:/v1.36/deb", "/", "/etc/apt/keyrings/k.gpg"),
        ),
        (
            "deb https://user:secret@mirror.example/debian trixie main # ours",
            Source(LIST, "https://***@mirror.example/debian", "trixie"),
        ),
        (
            "deb cdrom:[Debian GNU/Linux 12 _Bookworm_ - amd64]/ bookworm main",
            Source(LIST, "cdrom:[Debian GNU/Linux 12 _Bookworm_ - amd64]", "bookworm"),
        ),
        (
            "deb [check-valid-until=no] file:/srv/mirror stable main",
            Source(LIST, "file:/srv/mirror", "stable", "", checks_dates=False),
        ),
    ],
)
def test_a_line_of_a_list(line: str, found: Source) -> None:
    assert sources.parse(
        LIST, f"# deb http://old x y\n{line}\ndeb-src http://deb.debian.org/debian bookworm main\n"
    ) == (found,)


def test_stanzas_of_sources_give_each_pair_of_address_and_suite() -> None:
    text = (
        "Types: deb deb-src\nURIs: http://a/debian http://b/debian/\nSuites: x x-updates\nComponents: main\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://off\nSuites: x\nEnabled: no\n\nTypes: deb-src\nURIs: http://src\nSuites: x\n\n"
        "Types: deb\nURIs: file:/srv/m\nSuites: ./\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    )
    found = sources.parse(DEB822, text)
    assert [(each.uri, each.suite) for each in found] == [
        ("http://a/debian", "x"), ("http://a/debian", "x-updates"), ("http://b/debian", "x"), ("http://b/debian", "x-updates"),
        ("file:/srv/m", "./"),
    ]  # fmt: skip
    assert [each.signed_by for each in found] == ["/k.gpg"] * 4 + ["(inline)"]
    assert found[-1].folder == "/srv/m"
    assert sources.parse(DEB822, "rubbish\n") == sources.parse(LIST, "") == ()


def test_configuration_in_braces_and_without() -> None:
    text = (
        '// a comment with "quotes"\n# another\n'
        'Unattended-Upgrade::Package-Blacklist { "containerd"; // "kept out";\n "runc$"; };\n'
        'APT { Periodic { Unattended-Upgrade "1"; }; };\n/* "x"; */\n'
        'Acquire::http::Proxy "http://proxy:3128//";\n#clear Unattended-Upgrade::Package-Blacklist;\n'
        'Unattended-Upgrade::Package-Blacklist:: "kubelet";\n'
    )
    assert conf.parse(text) == {
        "apt::periodic::unattended-upgrade": ("1",),
        "acquire::http::proxy": ("http://proxy:3128//",),
        "unattended-upgrade::package-blacklist": ("kubelet",),
    }
    assert conf.parse("") == {}
    assert conf.parse('} ; "open') == {}


@pytest.mark.parametrize(
    ("record", "keeps_out", "version"),
    [
        ("Package: kubelet\nPin: version 1.35.*\nPin-Priority: 1000", False, "1.35.*"),
        ("Package: kube*\nPin: version 1.36.*\nPin-Priority: 1000", False, ""),
        ("Package: kubelet\nPin: version 1.36.4-1.1\nPin-Priority: 1000", False, ""),
        ("Package: kubelet\nPin: release a=*\nPin-Priority: -1", True, ""),
        ("Package: *\nPin: origin pkgs.k8s.io\nPin-Priority: -10", True, ""),
        ("Package: *\nPin: origin packages.microsoft.com\nPin-Priority: -10", False, ""),
        ("Package: snapd\nPin: release a=*\nPin-Priority: -10", False, ""),
        ("Package: *\nPin: release a=testing\nPin-Priority: 100", False, ""),
    ],
)
def test_which_pins_are_in_the_way_of_a_package(record: str, *, keeps_out: bool, version: str) -> None:
    (pin,) = pins.parse("/p", record + "\n")
    assert pin.keeps_out("kubelet", "pkgs.k8s.io") is keeps_out
    assert pin.other_version("kubelet", "1.36.4") == version


def test_a_record_without_a_priority_is_none() -> None:
    assert pins.parse("/p", "Package: x\nPin: version 1\n\nPackage: y\nPin-Priority: high\n") == ()


def test_a_source_that_nobody_need_sign_is_told() -> None:
    line = "deb [arch=amd64 trusted=YES] https://m/deb /\ndeb [trusted=no] https://n/deb /\n"
    assert [one.trusted for one in sources.parse(LIST, line)] == [True, False]
    assert sources.parse(DEB822, "Types: deb\nURIs: https://m\nSuites: /\nTrusted: yes\n")[0].trusted
