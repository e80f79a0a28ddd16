"""What pack says before it fetches anything, and of what it leaves out."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from caasctl import commands, hidden, packing
from caasctl.airgap import lacking
from caasctl.model import CaasError, Exit
from caasctl.syntax.packages import Repository

HOSTS = Path(__file__).parents[1] / "hosts"
SUSE = 'ID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"\n'


def refused(out: Path, host: Path = HOSTS / "debian12-plain-vm") -> CaasError:
    with pytest.raises(CaasError) as caught:
        packing.packing(commands.Session("single-node", (), str(host)), str(out), lambda _: None, lambda _: None)
    return caught.value


def test_another_distribution_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    shutil.copytree(HOSTS / "debian12-plain-vm", tmp_path / "suse", symlinks=True)
    (tmp_path / "suse/root/etc/os-release").write_text(SUSE)
    for host, has in ((tmp_path / "suse", False), (HOSTS / "rhel9-bls", True)):
        found = refused(tmp_path / "out", host)
        assert "cannot be packed" in found.problem
        assert ("dnf" in found.fix) == has
    assert not (tmp_path / "out").exists()


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
