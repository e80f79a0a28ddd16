"""containerd as installed and what a restart of it would meet."""

from __future__ import annotations

import pytest
from tests.checks.test_os_dpkg import BARE, FULL

from caasctl.checks import containerd, containerd_live
from caasctl.facts.containerd import ContainerdBinaries, ContainerdService, ContainerdVersion, RuncBinaries, RuncVersion
from caasctl.facts.containerd_config import ContainerdEffective, CrictlConfig
from caasctl.facts.containerd_live import Docker, PodCgroups
from caasctl.facts.os import OsRelease
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile import Kubernetes, Metadata, NodeProfile, Spec
from caasctl.syntax.containerd.tables import CRI

UNIT = "/usr/lib/systemd/system/containerd.service"
SERVICE = ContainerdService(UNIT, binary="/usr/bin/containerd", kill_mode="process", delegate=True)
ONE = ContainerdBinaries(("/usr/bin/containerd",), "/usr/bin/containerd")
SYSTEMD = ContainerdEffective(
    {"version": 2, "plugins": {CRI: {"containerd": {"runtimes": {"runc": {"options": {"SystemdCgroup": True}}}}}}}
)


def profile(version: str = "v1.36.4") -> NodeProfile:
    return NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("t"), Spec(Kubernetes(version)))


def only(check: Check, *known: object, version: str = "v1.36.4") -> Finding:
    (finding,) = findings(check, Facts(known), profile(version))
    return finding


@pytest.mark.parametrize(
    ("known", "level", "word", "fix"),
    [
        ((ONE, SERVICE), Level.PASS, UNIT, ""),
        ((ContainerdBinaries(), ContainerdService()), Level.FAIL, "no containerd", "apt-get install -y containerd"),
        ((ONE, ContainerdService()), Level.FAIL, "without containerd.service", "daemon-reload"),
        ((ONE, ContainerdService(UNIT, masked=True)), Level.FAIL, "masked", "systemctl unmask containerd.service"),
        ((ONE, ContainerdService(UNIT, binary="/opt/x")), Level.FAIL, "/opt/x", "ExecStart=/usr/bin/containerd"),
    ],
)
def test_installed(known: tuple[object, ...], level: Level, word: str, fix: str) -> None:
    found = only(containerd.installed, *known)
    assert (found.level, word in found.found) == (level, True)
    assert fix in (found.fix.text if found.fix else "")


def test_on_fedoras_containerd_comes_from_dnf() -> None:
    rocky = OsRelease("rocky", ("rhel", "centos", "fedora"), "9.4", "Rocky Linux 9.4")
    found = only(containerd.installed, ContainerdBinaries(), ContainerdService(), rocky)
    assert found.fix
    assert found.fix.text.startswith("dnf install")


def test_one_binary() -> None:
    assert only(containerd.one_binary, ONE).level is Level.PASS
    two = ContainerdBinaries(("/usr/local/bin/containerd", "/usr/bin/containerd"), "/usr/bin/containerd")
    found = only(containerd.one_binary, two)
    assert found.level is Level.WARN
    assert found.fix
    assert found.fix.text.startswith("remove /usr/local/bin/containerd")


@pytest.mark.parametrize(
    ("paths", "version", "level"),
    [
        (("/usr/sbin/runc",), (1, 1, 5), Level.PASS),
        (("/usr/sbin/runc",), (1, 0, 3), Level.WARN),
        ((), (0, 0, 0), Level.FAIL),
    ],
)
def test_runc_installed(paths: tuple[str, ...], version: tuple[int, int, int], level: Level) -> None:
    assert only(containerd.runc_installed, RuncBinaries(paths), RuncVersion(version)).level is level


GLIBC = "/usr/sbin/runc: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /usr/sbin/runc)"


def test_a_program_of_another_c_library_is_no_program() -> None:
    runc = only(containerd.runc_installed, RuncBinaries(("/usr/sbin/runc",)), RuncVersion(broken=GLIBC))
    assert (runc.level, runc.cause) == (Level.FAIL, GLIBC)
    found = only(containerd.supported, ContainerdVersion(broken=GLIBC))
    assert found.level is Level.FAIL
    assert found.fix
    assert "containerd-static" in found.fix.text


@pytest.mark.parametrize(
    ("version", "kubernetes", "level", "word"),
    [
        ((2, 3, 4), "v1.36.4", Level.PASS, ""),
        ((2, 3, 4), "v1.37.1", Level.PASS, ""),
        ((2, 0, 6), "v1.34.1", Level.PASS, ""),
        ((2, 0, 5), "v1.34.1", Level.WARN, "2.0.6 is the first"),
        ((2, 2, 1), "v1.37.1", Level.WARN, "only containerd 2.3"),
        ((2, 2, 1), "v1.36.1", Level.WARN, "support of containerd 2.2 ended"),
        ((1, 7, 24), "v1.36.4", Level.WARN, "1.7 is not tested with Kubernetes 1.36"),
        ((1, 7, 34), "v1.38.0", Level.FAIL, "cgroup driver"),
        ((1, 5, 9), "v1.33.0", Level.FAIL, "runtime.v1.RuntimeService"),
    ],
)
def test_supported(version: tuple[int, int, int], kubernetes: str, level: Level, word: str) -> None:
    found = only(containerd.supported, ContainerdVersion(version, "x"), version=kubernetes)
    assert found.level is level
    assert word in found.cause


@pytest.mark.parametrize(
    ("docker", "level"),
    [
        (Docker(), Level.PASS),
        (Docker("/usr/bin/dockerd", ()), Level.PASS),
        (Docker("/usr/bin/dockerd", ("a", "b")), Level.WARN),
        (Docker("/usr/bin/dockerd", ("a", "b"), bound=True, lives_on=True), Level.WARN),
        (Docker("/usr/bin/dockerd", ("a", "b"), bound=True), Level.FAIL),
        (Docker("/usr/bin/dockerd", (), ("a",), bound=True), Level.WARN),
        (Docker("/usr/bin/dockerd", (), None), Level.UNKNOWN),
        (Docker("/usr/bin/dockerd", None), Level.UNKNOWN),
    ],
)
def test_docker_shared(docker: Docker, level: Level) -> None:
    assert only(containerd_live.docker_shared, docker, *FULL).level is level


def test_docker_with_containers_stops_an_installation_and_without_does_not() -> None:
    """A way to live with it is said: the user may know better."""
    found = only(containerd_live.docker_shared, Docker("/usr/bin/dockerd", ("a",)), *BARE)
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert found.fix
    assert "a waiver of containerd.docker_shared" in found.fix.text
    assert only(containerd_live.docker_shared, Docker("/usr/bin/dockerd"), *BARE).level is Level.PASS


@pytest.mark.parametrize(
    ("pods", "effective", "kill_mode", "level", "word"),
    [
        ((), ContainerdEffective(), "process", Level.PASS, "no pods"),
        (("a", "b"), SYSTEMD, "process", Level.PASS, "2 pods run; they outlive"),
        (("a",), SYSTEMD, "control-group", Level.WARN, "KillMode=control-group"),
        (("a",), ContainerdEffective(), "process", Level.FAIL, "cgroupfs"),
    ],
)
def test_live_pods(
    pods: tuple[str, ...], effective: ContainerdEffective, kill_mode: str, level: Level, word: str
) -> None:
    service = ContainerdService(UNIT, kill_mode=kill_mode)
    found = only(containerd_live.live_pods, PodCgroups(pods), effective, service)
    assert (found.level, word in found.found) == (level, True)


SOCKET = "unix:///run/containerd/containerd.sock"


@pytest.mark.parametrize(
    ("config", "level", "mended"),
    [
        (CrictlConfig("x", SOCKET, SOCKET), Level.PASS, None),
        (CrictlConfig("x", SOCKET), Level.PASS, None),
        (CrictlConfig(), Level.WARN, "containerd"),
        (CrictlConfig("x", "unix:///run/crio/crio.sock"), Level.WARN, ""),
        (CrictlConfig("x", error="/etc/crictl.yaml is not valid YAML"), Level.WARN, ""),
    ],
)
def test_crictl_endpoint(config: CrictlConfig, level: Level, mended: str | None) -> None:
    found = only(containerd_live.crictl_endpoint, config)
    assert found.level is level
    assert mended is None or found.fixed_by == mended
