"""apt's and dpkg's words, OpenPGP keys by gpg's own hand, dnf's commands: samples, broken ones, empty ones."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caasctl.syntax.packages import Package, Repository, apt, by_hand, openpgp
from caasctl.syntax.packages.apt import Installed, Step

STATUS = """Package: containerd
Status: install ok installed
Version: 1.6.20~ds1-1
Depends: runc

Package: kubelet
Status: hold ok installed
Version: 1.36.4-1.1

Package: kubeadm
Status: install ok unpacked
Version: 1.36.4-1.1

Package: runc
Status: deinstall ok config-files
Version: 1.1.5

Package: kubectl-convert
Status: install ok installed
Version: 1.36.4-1.1
"""
SIMULATED = """Reading package lists...
The following packages will be REMOVED:
  docker.io
The following packages will be DOWNGRADED:
  iptables libfoo
0 upgraded, 2 newly installed, 1 downgraded, 1 to remove and 0 not upgraded.
Remv docker.io [20.10.24]
Inst runc (1.1.5+ds1-1 Debian:12.11/stable, Debian-Security:12/stable-security [amd64])
Inst libc6 [2.36-9] (2.36-10 Debian:12.11/stable [amd64])
Conf runc (1.1.5+ds1-1 Debian:12.11/stable [amd64])
"""


def test_what_dpkg_has() -> None:
    names = ("containerd", "kubelet", "kubeadm", "runc", "kubectl")
    assert apt.installed(STATUS, names) == {
        "containerd": Installed("1.6.20~ds1-1"),
        "kubelet": Installed("1.36.4-1.1", held=True),
        "kubeadm": Installed("1.36.4-1.1", whole=False),
    }
    assert apt.installed("", names) == {}


def test_what_is_on_offer_and_from_where() -> None:
    said = "   kubelet | 1.36.4-1.1 | file:/srv/k8s  Packages\n   kubelet | 1.36.1-1.1 | file:/srv/k8s  Packages\n runc | 1 | x Sources\nN: x\n"
    assert apt.madison(said) == {"kubelet": (("1.36.4-1.1", "file:/srv/k8s "), ("1.36.1-1.1", "file:/srv/k8s "))}
    assert apt.madison("") == {}


POLICY = """\
containerd:
  Installed: (none)
  Candidate: 1.6.20~ds1-1
  Version table:
     1.7.24-1~bpo12+1 100
        100 file:/srv/backports ./ Packages
     1.6.20~ds1-1 500
        500 file:/srv/debian bookworm/main amd64 Packages
runc:
  Installed: (none)
  Candidate: (none)
  Version table:
     1.1.5 -1
        500 file:/srv/debian bookworm/main amd64 Packages
kubelet:
  Installed: 1.36.9-1.1
  Candidate: 1.36.9-1.1
"""


def test_what_apt_would_take_comes_first() -> None:
    rows = (("containerd", "1.7.24-1~bpo12+1"), ("containerd", "1.6.20~ds1-1"), ("containerd", "1.6.20~ds1-1"),
            ("runc", "1.1.5"), ("kubelet", "1.36.4-1.1"))  # fmt: skip
    said = "".join(f" {name} | {version} | file:/srv ./ Packages\n" for name, version in rows)
    newest = {"containerd": ("1.7.24-1~bpo12+1", "1.6.20~ds1-1"), "runc": ("1.1.5",), "kubelet": ("1.36.4-1.1",)}
    assert apt.offered(said, "") == newest
    assert apt.offered(said, POLICY) == newest | {"containerd": ("1.6.20~ds1-1", "1.7.24-1~bpo12+1")}
    assert apt.offered("", POLICY) == {}


def test_what_apt_would_do() -> None:
    found = apt.simulation(SIMULATED)
    assert [(step.name, step.version) for step in found.install] == [("runc", "1.1.5+ds1-1")]
    assert found.upgrade == (Step("libc6", "2.36-10", "2.36-9", "Debian:12.11/stable [amd64]"),)
    assert found.remove == ("docker.io",)
    assert found.downgrade == ("iptables", "libfoo")
    assert apt.simulation("E: Unable to locate package x\n") == apt.Simulation()


HISTORY = """
Start-Date: 2026-11-27  04:46:51
Commandline: apt-get install containerd=1.6.20
Install: runc:amd64 (1.1.5, automatic), containerd:amd64 (1.6.20~ds1-1+deb12u1)
Error: Sub-process /usr/bin/dpkg returned an error code (1)
End-Date: 2026-11-27  04:46:52

Start-Date: 2026-11-27  05:00:00
Commandline: apt install containerd: x
Install: containerd:amd64 (1.6.20)
Upgrade: libc6:amd64 (1, 2)
"""


def test_who_installed_a_package_last_by_apts_log() -> None:
    found = apt.installers(HISTORY)
    assert found == {"runc": "apt-get install containerd=1.6.20", "containerd": "apt install containerd: x"}
    assert apt.installers("") == apt.installers("Install: broken\n\nStart-Date\n") == {}


def test_what_dpkg_refuses_to_take_off() -> None:
    said = "dpkg: dependency problems prevent removal of runc:\n docker.io depends on runc.\n\ndpkg: error processing package runc (--purge):\n dependency problems - not removing\ndpkg: error processing package libc6:amd64 (--purge):\n"
    assert apt.kept(said) == ("runc", "libc6")
    assert apt.kept("") == ()


@pytest.mark.parametrize(
    ("version", "glob", "fits"),
    [
        ("1.36.4-1.1", "1.36.4-*", True),
        ("1.36.40-1.1", "1.36.4-*", False),
        ("2:1.36.4-1.1", "1.36.4-*", True),
        ("2.2.1-1~debian.12", "2.2.1[!0-9]*", True),
        ("2.2.10-1~debian.12", "2.2.1[!0-9]*", False),
        ("whatever", "", True),
    ],
)
def test_a_version_fits_its_glob(version: str, glob: str, *, fits: bool) -> None:
    assert Package("x", glob).fits(version) is fits


def test_sources_and_pins_name_their_key_and_their_versions() -> None:
    one = Repository("docker", "https://d/", "bookworm", ("stable",), "k", "AB", "s")
    assert apt.source_text(one).endswith(
        "Types: deb\nURIs: https://d/\nSuites: bookworm\nComponents: stable\nSigned-By: /etc/apt/keyrings/caasctl-docker.gpg\n"
    )
    assert apt.pins_text([Package("a", "1-*"), Package("b"), Package("c", "1-*")]).endswith(
        "\nPackage: a c\nPin: version 1-*\nPin-Priority: 990\n"
    )
    assert apt.pins_text([Package("b")]) == ""


def test_dnfs_commands_name_versions_and_keys() -> None:
    kubernetes = Repository("kubernetes", "https://k/rpm/", "/", (), "https://k/key", "", "s")
    said = by_hand.by_dnf([Package("kubelet", "1.36.4-*", "kubernetes"), Package("iptables")], [kubernetes])
    assert "gpgkey=file:///etc/pki/rpm-gpg/kubernetes.key" in said  # the one that was compared, not what is served then
    assert "exclude=kubelet kubernetes-cni" in said
    taken = said.index("rpm --import")  # only once it is the one that is wanted, and before dnf, which would take any
    assert said.index("curl") < said.index("= FINGERPRINT_FROM") < taken < said.index("dnf install")
    assert " = ABCD && rpm --import " in by_hand.by_dnf([Package("kubelet")], [replace(kubernetes, fingerprint="ABCD")])
    assert said.endswith("dnf install -y --disableexcludes=kubernetes kubelet-1.36.4 iptables")
    assert by_hand.by_dnf([Package("iptables")], []) == "dnf install -y iptables"


@pytest.fixture(scope="module", params=["rsa2048", "ed25519"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """Two keys in one home, and their fingerprints as gpg has them."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    for name in ("one", "two"):
        gpg(home, "--passphrase", "", "--quick-generate-key", name, request.param, "sign", "never")
    listed = gpg(home, "--with-colons", "--fingerprint").decode()
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return home, tuple(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))


def gpg(home: Path, *argv: str) -> bytes:
    whole = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", *argv]
    return subprocess.run(whole, check=True, capture_output=True).stdout


def test_fingerprints_are_gpgs(keys: tuple[Path, tuple[str, ...]]) -> None:
    home, prints = keys
    binary, armored = gpg(home, "--export"), gpg(home, "--armor", "--export")
    assert tuple(openpgp.keys(binary)) == tuple(openpgp.keys(armored)) == prints
    assert tuple(openpgp.keys(armored.replace(b"\n", b"\r\n"))) == prints
    assert openpgp.keys(binary)[prints[1]] == gpg(home, "--export", prints[1])
    assert list(openpgp.keys(gpg(home, "--export", prints[0]))) == [prints[0]]


@pytest.mark.parametrize("which", [0, 1])
def test_apts_commands_take_the_key_that_was_compared_and_no_other(
    keys: tuple[Path, tuple[str, ...]], which: int, tmp_path: Path
) -> None:
    home, prints = keys
    (tmp_path / "my key").write_bytes(gpg(home, "--armor", "--export", prints[0]))
    mirror = Repository("kubernetes", "https://m/core%3A/deb/", "/", (), str(tmp_path / "my key"), prints[which], "s")
    said = by_hand.by_apt([Package("kubelet", "1.36.4-*"), Package("cri-tools")], mirror, ["kubelet"])
    assert said.endswith("apt-get install -y 'kubelet=1.36.4-*' cri-tools && apt-mark hold kubelet")
    (tmp_path / "sources.list.d").mkdir()
    script = said.partition(" && apt-get")[0].replace("/root/", f"{tmp_path}/").replace("/etc/apt/", f"{tmp_path}/")
    done = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "GNUPGHOME": str(home)}, capture_output=True, check=False
    )
    written = tmp_path / "sources.list.d/kubernetes.sources"
    assert (done.returncode == 0) is (which == 0), done.stderr
    if which == 0:
        assert list(openpgp.keys((tmp_path / "keyrings/kubernetes-apt-keyring.gpg").read_bytes())) == [prints[0]]
        assert "URIs: https://m/core%3A/deb/\nSuites: /\nSigned-By: " in written.read_text()
    else:
        assert not written.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no OpenPGP public key"),
        (b"<html>404</html>", "an HTML page"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no block of a public key"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n", "armor is damaged"),
        (b"\x99\x01\x0d\x04abc", "cut off"),
        (b"\xc6\xff\x00", "cut off"),
        (b"\x98\x03\x03ab", "a key of version 3"),
    ],
)
def test_what_is_no_key_says_why(data: bytes, said: str) -> None:
    with pytest.raises(openpgp.NoKey, match=said):
        openpgp.keys(data)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(openpgp.NoKey):
        assert openpgp.keys(data)
