"""What pack says before it fetches anything, and of what it leaves out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from caasctl import airgapped, commands, hidden, packing
from caasctl.airgap import lacking
from caasctl.airgap.wanted import Target
from caasctl.facts.os import OsRelease
from caasctl.host import LiveHost
from caasctl.model import CaasError, Exit, RefusedError
from caasctl.syntax.packages import Repository

HOSTS = Path(__file__).parents[1] / "hosts"
SUSE = 'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"\n'


def refused(out: Path, host: Path | None = None) -> CaasError:
    """host: a recording, None for this machine."""
    session = commands.Session("single-node", (), str(host) if host else None)
    with pytest.raises(CaasError) as caught:
        packing.packing(session, str(out), lambda _: None, lambda _: None)
    return caught.value


def test_another_distribution_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    shutil.copytree(HOSTS / "debian12-plain-vm", tmp_path / "suse", symlinks=True)
    (tmp_path / "suse/root/etc/os-release").write_text(SUSE)
    for host, has in ((tmp_path / "suse", False), (HOSTS / "rhel9-bls", True)):
        found = refused(tmp_path / "out", host)
        assert "cannot be packed" in found.problem
        assert ("dnf" in found.fix) == has
    assert not (tmp_path / "out").exists()


def of(release: str, codename: str, version: str, architecture: str = "amd64") -> Target:
    return Target(OsRelease(release, (), version, "", codename), architecture)


@pytest.mark.parametrize(
    ("meant", "word"),
    [
        (of("debian", "bookworm", "12"), ""),
        (of("debian", "", "12"), ""),
        (of("debian", "trixie", "13"), "it is debian trixie, this machine is debian bookworm"),
        (of("debian", "", "13"), "it is debian 13, this machine is debian bookworm"),
        (of("ubuntu", "noble", "24.04"), "it is ubuntu noble, this machine is debian bookworm"),
        (of("raspbian", "bookworm", "12"), "it is raspbian bookworm, this machine is debian bookworm"),
        (of("debian", "bookworm", "12", "arm64"), "it is of arm64, this machine of amd64"),
    ],
)
def test_only_a_machine_of_the_same_packages_packs_for_a_host(meant: Target, word: str) -> None:
    assert packing.differs(meant, of("debian", "bookworm", "12")) == word


def test_derivatives_pack_for_their_own_kind() -> None:
    mint = of("linuxmint", "wilma", "22")
    assert packing.differs(mint, mint) == ""
    assert "it is ubuntu noble" in packing.differs(of("ubuntu", "noble", "24.04"), mint)


def recorded(folder: Path, **release: str) -> Path:
    """The recording of a Debian of that release, which no machine that tests run on has."""
    shutil.copytree(HOSTS / "debian12-plain-vm", folder, symlinks=True)
    text = "".join(f'{name}="{value}"\n' for name, value in {"ID": "debian", **release}.items())
    (folder / "root/etc/os-release").write_text(text)
    return folder


def test_a_recorded_host_of_another_release_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    host = recorded(
        tmp_path / "old", VERSION_ID="7", VERSION_CODENAME="wheezy", PRETTY_NAME="Debian GNU/Linux 7 (wheezy)"
    )
    found = refused(tmp_path / "out", host)
    assert isinstance(found, RefusedError)
    assert found.problem == "packages for that host cannot be packed here"
    assert "it is debian wheezy, this machine is" in found.cause
    assert "Debian GNU/Linux 7 (wheezy) on amd64, or in a chroot or container of it" in found.fix
    assert not (tmp_path / "out").exists()


@pytest.mark.root
def test_a_recorded_host_of_this_machines_kind_is_packed_for(tmp_path: Path) -> None:
    target = airgapped.target_of(LiveHost())
    if target.distribution.id not in ("debian", "ubuntu"):
        pytest.skip("packs Debian's and Ubuntu's")
    host = recorded(tmp_path / "same", ID=target.distribution.id, VERSION_ID=target.distribution.version_id,
                    VERSION_CODENAME=target.distribution.codename)  # fmt: skip
    if airgapped.target_of(commands.open_host(str(host), "/")).architecture != target.architecture:
        pytest.skip("the recording is of another processor")
    session = commands.Session("single-node", (), str(host))
    assert packing.packing(session, str(tmp_path / "out"), lambda _: None, lambda _: None).folder == f"{tmp_path}/out"


DISK = {"etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n',
        "var/lib/dpkg/status": "Package: dpkg\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.21.22\n"}  # fmt: skip


def disk(root: Path, files: dict[str, str]) -> commands.Session:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return commands.Session("single-node", (), None, str(root))


def test_the_list_for_a_mounted_disk_is_of_its_own_architecture(tmp_path: Path) -> None:
    found, target = packing.listed(disk(tmp_path, DISK))
    assert target.architecture == "arm64"
    assert {"kubelet", "containerd"} <= {item.name for item in found}


def test_a_disk_that_does_not_tell_its_architecture_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(CaasError) as caught:
        packing.listed(disk(tmp_path, {"etc/os-release": DISK["etc/os-release"]}))
    assert caught.value.exit_code is Exit.UNDETERMINED
    assert caught.value.problem == "which processor that host has cannot be told"
    assert "neither dpkg nor a loader" in caught.value.cause
    assert "--facts" in caught.value.fix


def test_a_path_is_not_taken_for_a_secrets_key(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("")
    found = refused(tmp_path / "passwd")
    assert hidden.masked(found.problem) == f"{tmp_path}/passwd is no directory"
    assert hidden.masked(found.cause) == found.cause


@pytest.mark.root
@pytest.mark.parametrize("name", ["a b", "a%20b"])
def test_a_path_that_apt_takes_for_another_is_refused(tmp_path: Path, name: str) -> None:
    assert "cannot be packed into" in refused(tmp_path / name).problem
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("https://example.org/Release.key", "curl -fsSL https://example.org/Release.key | gpg --show-keys"),
        ("/srv/a b/Release.key", "gpg --show-keys --with-fingerprint '/srv/a b/Release.key'   #"),
        ("file:///srv/Release.key", "gpg --show-keys --with-fingerprint /srv/Release.key   #"),
    ],
)
def test_the_fix_for_a_missing_fingerprint_can_be_pasted(key: str, command: str) -> None:
    found = lacking.unsigned(
        Repository("kubernetes", "https://example.org/", "/", (), key, "", "spec.packages.kubernetes")
    )
    assert found.fix.startswith(command)
    assert re.search(r"   # [^;]*; .*spec\.packages\.kubernetes\.fingerprint$", found.fix)
