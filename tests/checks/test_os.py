"""Distribution, kernel, systemd, container: each check seen passing and failing on literal facts."""

from __future__ import annotations

import pytest

from caasctl.checks import os as checks
from caasctl.facts.os import Container, Kernel, KernelConfig, OsRelease, Privileges, Systemd
from caasctl.facts.os_system import InstalledKernels
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.syntax import needs

NODE = load("single-node")
GPU = load("gpu-single-node")
RUNC = load("single-node", ("runtimes=[runc]",))
SEED = Kernel("5.14.15-custom", (5, 14))


def judge(check: Check, *facts: object, profile: NodeProfile = NODE) -> list[Finding]:
    return list(findings(check, Facts(facts), profile))


def only(check: Check, *facts: object, profile: NodeProfile = NODE) -> Finding:
    found = judge(check, *facts, profile=profile)
    assert len(found) == 1
    return found[0]


def release(name: str, version: str, *likes: str) -> OsRelease:
    return OsRelease(name, likes, version, f"{name} {version}")


@pytest.mark.parametrize(
    ("name", "version"),
    [("debian", "12"), ("debian", "13"), ("ubuntu", "22.04"), ("ubuntu", "24.04"), ("rocky", "9.4"), ("rhel", "10.0")],
)
def test_distributions_of_our_time_pass(name: str, version: str) -> None:
    assert only(checks.supported, release(name, version)).level is Level.PASS


@pytest.mark.parametrize(
    ("name", "version", "breaks", "fix"),
    [
        ("ubuntu", "20.04", "GLIBC_2.34", "full-upgrade && do-release-upgrade"),
        ("ubuntu", "20.04", "hybrid", "do-release-upgrade"),
        ("debian", "11", "glibc 2.31", "Debian 12"),
        ("rhel", "8.10", "glibc 2.28", "release 9"),
        ("centos", "7", "older than anything", "release 9"),
    ],
)
def test_older_ones_fail_and_what_breaks_is_named(name: str, version: str, breaks: str, fix: str) -> None:
    found = only(checks.supported, release(name, version))
    assert (found.level, found.yours) == (Level.FAIL, True)
    assert breaks in found.cause
    assert found.fix
    assert fix in found.fix.text


@pytest.mark.parametrize(
    "found", [release("arch", ""), release("mint", "21", "ubuntu", "debian"), release("debian", "")]
)
def test_unknown_distributions_warn(found: OsRelease) -> None:
    assert only(checks.supported, found).level is Level.WARN


def test_a_derivative_names_its_parent() -> None:
    assert "descends from ubuntu" in only(checks.supported, release("mint", "21", "ubuntu")).cause


@pytest.mark.parametrize(
    ("kernel", "level"),
    [
        (SEED, Level.PASS),
        (Kernel("5.10.0-33-amd64", (5, 10)), Level.PASS),
        (Kernel("5.4.0-200-generic", (5, 4)), Level.FAIL),
        (Kernel("4.18.0-477.el8_8.x86_64", (4, 18)), Level.FAIL),
        (Kernel("4.18.0-553.el8_10.x86_64", (4, 18)), Level.WARN),
    ],
)
def test_the_kernel_must_do_for_cilium_and_the_kubelet(kernel: Kernel, level: Level) -> None:
    assert only(checks.kernel_minimum, kernel).level is level


def test_an_older_cilium_takes_an_older_kernel() -> None:
    older = load("single-node", ("cilium.version=1.17.9",))
    assert only(checks.kernel_minimum, Kernel("5.4.0-200-generic", (5, 4)), profile=older).level is Level.PASS


def test_ubuntu_gets_the_package_of_a_newer_kernel() -> None:
    found = only(checks.kernel_minimum, Kernel("5.4.0-200-generic", (5, 4)), release("ubuntu", "20.04"))
    assert found.fix
    assert found.fix.text == "apt-get install -y linux-generic-hwe-20.04"


def config(*without: str, profile: NodeProfile = NODE, **values: str) -> KernelConfig:
    every = dict.fromkeys((*needs.options(profile), *needs.optional_options()), "y")
    return KernelConfig(
        {name: value for name, value in {**every, **values}.items() if name not in without}, "/boot/config-x"
    )


def test_a_kernel_with_everything_passes_with_modules_too() -> None:
    found = only(checks.kernel_config, config(OVERLAY_FS="m", KVM="m", VHOST_VSOCK="m"))
    assert found.level is Level.PASS


def test_all_that_is_missing_is_one_finding_by_who_needs_it() -> None:
    found = only(checks.kernel_config, config("CGROUP_PIDS", "CPUSETS", "OVERLAY_FS", EXT4_FS="n"))
    assert found.level is Level.FAIL
    expected = "not built: CONFIG_CGROUP_PIDS, CONFIG_CPUSETS, CONFIG_EXT4_FS (kubeadm); CONFIG_OVERLAY_FS (containerd)"
    assert found.found == expected
    assert found.evidence[0].source == "/boot/config-x"


def test_missing_optional_options_warn_beside() -> None:
    levels = [finding.level for finding in judge(checks.kernel_config, config("MEMCG", "CGROUP_HUGETLB"))]
    assert levels == [Level.FAIL, Level.WARN]


def test_one_of_two_redirect_targets_is_enough() -> None:
    wanted = "NETFILTER_XT_TARGET_REDIRECT"
    assert only(checks.kernel_config, config(wanted, IP_NF_TARGET_REDIRECT="m")).level is Level.PASS
    assert only(checks.kernel_config, config(wanted)).level is Level.FAIL


def test_kata_and_gpus_ask_for_more_where_the_profile_has_them() -> None:
    without_vsock = only(checks.kernel_config, config("VHOST_VSOCK"))
    assert "no Kata pod starts" in without_vsock.cause
    assert only(checks.kernel_config, config("VHOST_VSOCK"), profile=RUNC).level is Level.PASS
    assert only(checks.kernel_config, config("VFIO_PCI", profile=GPU), profile=GPU).level is Level.FAIL
    assert only(checks.kernel_config, config("VFIO_PCI", profile=GPU)).level is Level.PASS


@pytest.mark.parametrize(
    ("installed", "options", "level", "says"),
    [
        (("5.14.15-custom",), {"MODULES": "y"}, Level.PASS, "5.14.15-custom"),
        (("5.14.16-custom",), {"MODULES": "y"}, Level.FAIL, "modules on disk: 5.14.16-custom"),
        (("5.14.15-custom", "5.14.16-custom"), {"MODULES": "y"}, Level.WARN, "installed 5.14.16-custom"),
        (("5.14.15-custom", "6.8.0-40-generic"), {"MODULES": "y"}, Level.PASS, "5.14.15-custom"),
        ((), {"MODULES": "y"}, Level.WARN, "no modules on disk"),
        ((), {}, Level.PASS, "without loadable modules"),
        (("5.14.16-custom",), None, Level.FAIL, "modules on disk"),
    ],
)
def test_a_kernel_without_its_modules_wants_a_reboot(
    installed: tuple[str, ...], options: dict[str, str] | None, level: Level, says: str
) -> None:
    known = [SEED, InstalledKernels(installed), *([KernelConfig(options, "x")] if options is not None else [])]
    found = only(checks.kernel_stale, *known)
    assert found.level is level
    assert says in found.found
    assert (level is Level.FAIL) <= bool(found.fix and found.fix.text == "systemctl reboot")


@pytest.mark.parametrize(("root", "level"), [(True, Level.PASS), (False, Level.WARN)])
def test_an_ordinary_user_sees_less(root: bool, level: Level) -> None:  # noqa: FBT001
    assert only(checks.privileges, Privileges(root)).level is level


def test_a_container_is_no_machine() -> None:
    assert only(checks.container, Container("")).level is Level.PASS
    found = only(checks.container, Container("docker", "/.dockerenv"))
    assert (found.level, found.yours, found.found) == (Level.FAIL, True, "inside a container (docker)")


@pytest.mark.parametrize(
    ("systemd", "level"),
    [
        (Systemd(running=True, version=252, default_hierarchy="unified"), Level.PASS),
        (Systemd(running=True, version=0, default_hierarchy=""), Level.PASS),
        (Systemd(running=True, version=239, default_hierarchy="legacy"), Level.WARN),
        (Systemd(running=False, version=252, default_hierarchy="unified"), Level.FAIL),
        (Systemd(running=False, version=0, default_hierarchy=""), Level.FAIL),
    ],
)
def test_systemd_runs_the_host(systemd: Systemd, level: Level) -> None:
    assert only(checks.systemd, systemd).level is level
