"""Phase kata on a node of stand-ins, with a real containerd behind it: from a tarball to handlers, again, back, and away."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from tests.cluster.host import Host
from tests.lab import kata

from caasctl.formats import parse_toml
from caasctl.syntax.containerd.tables import cri

pytestmark = [pytest.mark.root, pytest.mark.slow]
SOURCE = "/var/lib/kata-go-static-4.1.0-amd64.tar.xz"
CONVERGED, FAILED_CHECK, FAILED = 0, 1, 3
PHASES = ("--phase", "kata", "--phase", "containerd")
# What a machine that builds and tests this need not have.
WAIVERS = "waivers=[" + ", ".join(f"{{check: {name}, reason: test, owner: test, expires: '2099-01-01'}}" for name in ("kata.kvm", "kata.vhost", "kata.vsock_conflict", "containerd.supported", "os.disk_space")) + "]"  # fmt: skip
SEEN = r"find /opt /etc/kata-containers /etc/containerd -printf '%p %y %m %U:%G %l\n' 2>/dev/null | sort"


def settings(digest: str) -> tuple[str, ...]:
    return ("--set", WAIVERS, "--set", f"kata.source={SOURCE}", "--set", f"kata.sha256={digest}")


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def tarball(host: Host, version: str = "4.1.0") -> str:
    return kata.write(host.path(SOURCE), kata.release(version))


def runtimes(host: Host) -> Any:
    return cri(parse_toml(host.sh("containerd config dump"), "dump")).runtimes


def test_a_tarball_becomes_handlers_and_undo_and_reset_take_it_away_again(host: Host) -> None:
    host.write("/opt/kata/VERSION", "3.2.0\n")
    was, digest = host.sh(SEEN), tarball(host)
    planned = host.caasctl("init-node", "--dry-run", *PHASES, *settings(digest))
    assert planned.returncode == CONVERGED, said(planned)
    assert "kata:/opt/kata" in planned.stdout
    assert "a directory" in planned.stdout
    assert host.sh(SEEN) == was

    made = host.caasctl("init-node", "--yes", *PHASES, *settings(digest))
    assert made.returncode == CONVERGED, said(made)
    for name, table in {name: table for name, table in runtimes(host).items() if name.startswith("kata-")}.items():
        assert table["runtime_path"] == f"/opt/kata/bin/{kata.SHIM}"
        host.sh(
            f"test -x {table['runtime_path']} && test -s {table['options']['ConfigPath']} && test -s /etc/kata-containers/caasctl/{name}/config.d/60-caasctl.toml"
        )
        assert "io.katacontainers.*" not in table["pod_annotations"]
    assert host.sh("cat /opt/kata/VERSION /opt/kata.before-caasctl/VERSION").split() == ["4.1.0", "3.2.0"]
    again = host.caasctl("init-node", "--yes", *PHASES, *settings(digest))
    assert (again.returncode, "nothing had to change" in said(again)) == (CONVERGED, True)

    shown = host.caasctl("undo", "--dry-run")
    assert "restore /opt/kata as a directory" in said(shown), said(shown)
    back = host.caasctl("undo", "--yes")
    assert back.returncode == CONVERGED, said(back)
    assert host.sh(SEEN) == was

    assert host.caasctl("init-node", "--yes", *PHASES, *settings(digest)).returncode == CONVERGED
    reset = host.caasctl("reset", "--yes")
    assert reset.returncode == CONVERGED, said(reset)
    left = set(host.sh(SEEN).splitlines()) ^ set(was.splitlines())
    assert {line.split()[0] for line in left} <= {"/etc/kata-containers", "/etc/containerd/conf.d"}, left


def test_a_wrong_hash_is_refused_with_the_way_to_the_right_one_and_nothing_is_changed(host: Host) -> None:
    tarball(host)
    was = host.sh(SEEN)
    refused = host.caasctl("init-node", "--yes", *PHASES, *settings("0a" * 32))
    assert refused.returncode == FAILED, said(refused)
    assert "is not the file that the profile means" in said(refused)
    assert "digest" in said(refused)
    assert host.sh(SEEN) == was
    missing = host.caasctl("init-node", "--yes", *PHASES, "--set", f"kata.source={SOURCE}")
    assert (missing.returncode, "api.github.com" in said(missing)) == (2, True)


def test_a_tarball_for_another_processor_is_held_back_by_its_name_before_it_is_opened(host: Host) -> None:
    arm = SOURCE.replace("amd64", "arm64")
    planned = host.caasctl(
        "init-node",
        "--yes",
        *PHASES,
        "--set",
        WAIVERS,
        "--set",
        f"kata.source={arm}",
        "--set",
        f"kata.sha256={'a' * 64}",
    )
    assert planned.returncode == FAILED_CHECK, said(planned)
    assert "it is for arm64, this host is amd64" in said(planned)


def test_the_next_release_keeps_the_one_before_and_undo_leads_back_to_it(host: Host) -> None:
    first = tarball(host)
    assert host.caasctl("init-node", "--yes", *PHASES, *settings(first)).returncode == CONVERGED
    restarts = len(host.calls("systemctl restart containerd"))
    second = tarball(host, "4.2.0")
    upgraded = host.caasctl("init-node", "--yes", *PHASES, *settings(second))
    assert upgraded.returncode == CONVERGED, said(upgraded)
    assert host.sh("cat /opt/kata/VERSION").strip() == "4.2.0"
    assert len(host.calls("systemctl restart containerd")) == restarts  # its configuration is the same
    assert host.caasctl("undo", "--yes").returncode == CONVERGED
    assert host.sh("cat /opt/kata/VERSION; ls -d /opt/kata-*").split() == ["4.1.0", f"/opt/kata-4.1.0-{first[:12]}"]
