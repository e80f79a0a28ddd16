"""needrestart's and unattended-upgrades' files; needrestart's own Perl agrees where it is there."""

from __future__ import annotations

from pathlib import Path

from tests.facts.test_os_swap import plant

from caasctl.checks.os_upgrades import _SPARE
from caasctl.facts.os_restarts import PROBES, Needrestart, UnattendedPackages, parse_needrestart
from caasctl.host import LiveHost

NEEDRESTART, UNATTENDED = (probe.read for probe in PROBES)
CONF = """# $nrconf{restart} = 'a';
$nrconf{restart} = 'i';
$nrconf{override_rc} = {
    # DBus
    q(^dbus) => 0,
    qr(^getty@.+\\.service) => 0,
    qr(^sshd) => 1,
};
"""
MAIN, MORE = "/etc/needrestart/needrestart.conf", "/etc/needrestart/conf.d"


def test_the_last_word_on_the_mode_holds_and_comments_do_not_count() -> None:
    assert parse_needrestart({MAIN: CONF}) == Needrestart(True, "i", MAIN, (r"^getty@.+\.service",))
    later = parse_needrestart({MAIN: CONF, f"{MORE}/z.conf": '$nrconf{restart} = "a";\n'})
    assert (later.mode, later.source) == ("a", f"{MORE}/z.conf")
    assert parse_needrestart({MAIN: "#$nrconf{restart} = 'a';\n"}) == Needrestart(installed=True)


def test_the_line_that_the_fix_writes_is_understood(tmp_path: Path) -> None:
    written = _SPARE.partition("'")[2].partition("' >")[0]
    plant(tmp_path, {MAIN: "$nrconf{restart} = 'a';\n", f"{MORE}/zz-node.conf": f"{written}\n"})
    found = NEEDRESTART(LiveHost(str(tmp_path)))
    assert isinstance(found, Needrestart)
    assert found.spares("containerd.service")
    assert found.spares("kubelet.service")
    assert not found.spares("ssh.service")


def test_a_tree_without_either(tmp_path: Path) -> None:
    assert NEEDRESTART(LiveHost(str(tmp_path))) == Needrestart()
    assert UNATTENDED(LiveHost(str(tmp_path))) == UnattendedPackages()


def test_a_blacklist_is_looked_for_from_the_beginning_of_a_name(tmp_path: Path) -> None:
    plant(tmp_path, {
        "/etc/apt/apt.conf.d/50unattended-upgrades": 'Unattended-Upgrade::Origins-Pattern {\n "origin=Debian";\n};\n'
        'Unattended-Upgrade::Package-Blacklist {\n // "vim";\n "containerd"; "[broken"; "runc$";\n};\n',
        "/etc/apt/apt.conf.d/51.dpkg-old": 'Unattended-Upgrade::Package-Blacklist { "kubelet"; };\n',
    })  # fmt: skip
    found = UNATTENDED(LiveHost(str(tmp_path)))
    assert isinstance(found, UnattendedPackages)
    assert found.origins == ("origin=Debian",)
    assert [found.spares(name) for name in ("containerd", "containerd.io", "runc", "crun", "kubelet")] == [
        True,
        True,
        True,
        False,
        False,
    ]
