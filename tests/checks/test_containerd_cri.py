"""What the CRI is told: cgroups, handlers, default runtime, pause image, shims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from caasctl.checks import containerd_cri as checks
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective, Shims
from caasctl.facts.containerd_live import CriInfo
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile import ContainerdSpec, Kubernetes, Metadata, NodeProfile, Spec
from caasctl.profile_load import load
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.output import CriStatus
from caasctl.syntax.containerd.tables import CRI, MAIN

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("t"), Spec(Kubernetes("v1.36.4")))
RUNC = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}
KATA = {"runtime_type": "io.containerd.kata-qemu.v2", "runtime_path": "/opt/kata/bin/containerd-shim-kata-v2"}
ALL = {"runc": RUNC, "kata-qemu": KATA, "kata-clh": KATA}
V17 = ContainerdVersion((1, 7, 24))


def dump(
    runtimes: dict[str, Any] | None = None,
    default: str = "runc",
    pause: str = "registry.k8s.io/pause:3.10.2",
    **cri: Any,
) -> ContainerdEffective:
    containerd = {"default_runtime_name": default, "runtimes": ALL if runtimes is None else runtimes}
    return ContainerdEffective(
        {"version": 2, "plugins": {CRI: {"sandbox_image": pause, "containerd": containerd, **cri}}}, "dump"
    )


def config(text: str = "version = 2", extra: str = "") -> ContainerdConfig:
    return ContainerdConfig(MAIN, (config_file(MAIN, text), *([config_file("/x.toml", extra)] if extra else [])))


def judged(check: Check, *known: object, profile: NodeProfile = PROFILE) -> list[Finding]:
    return list(findings(check, Facts([config(), V17, *known]), profile))


def only(check: Check, *known: object, profile: NodeProfile = PROFILE) -> Finding:
    (finding,) = judged(check, *known, profile=profile)
    return finding


TELLS = "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"


@pytest.mark.parametrize(
    ("runtimes", "files", "level", "cause"),
    [
        (ALL, config(), Level.PASS, ""),
        ({"runc": {"options": {}}}, config(), Level.FAIL, "Pod sandbox changed"),
        ({"kata": {}}, config(), Level.FAIL, "drops its built-in runc"),
        ({"runc": {}}, config(TELLS), Level.FAIL, "no `version`"),
        (
            {"runc": {}},
            config("version = 2\n" + TELLS, "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\na = 1"),
            Level.FAIL,
            "/x.toml replaces",
        ),
    ],
)
def test_systemd_cgroup(runtimes: dict[str, Any], files: ContainerdConfig, level: Level, cause: str) -> None:
    found = only(checks.systemd_cgroups, dump(runtimes), files, V17)
    assert found.level is level
    assert cause in found.cause
    assert level is Level.PASS or found.fixed_by == "containerd"


def test_handlers() -> None:
    assert only(checks.handlers, dump({**ALL, "runsc": {}})).found == "runc, kata-qemu, kata-clh (and runsc)"
    missing = only(checks.handlers, dump({"runc": RUNC}))
    assert (missing.level, missing.found) == (Level.FAIL, "kata-qemu, kata-clh missing")
    running = CriInfo(CriStatus({"runc": "x"}, "runc", "", ("runc",), ready=True, network=""))
    stale = only(checks.handlers, dump(), running)
    assert stale.level is Level.FAIL
    assert "not in the running containerd" in stale.found


@pytest.mark.parametrize(
    ("default", "runtimes", "level"),
    [("runc", ALL, Level.PASS), ("kata", ALL, Level.FAIL), ("", ALL, Level.FAIL), ("runc", {"runsc": {}}, Level.FAIL)],
)
def test_default_runtime(default: str, runtimes: dict[str, Any], level: Level) -> None:
    assert only(checks.default_runtime, dump(runtimes, default)).level is level


def test_sandbox_image() -> None:
    assert only(checks.sandbox_image, dump()).level is Level.PASS
    old = only(checks.sandbox_image, dump(pause="registry.k8s.io/pause:3.6"))
    assert (old.level, old.found, old.wanted) == (
        Level.WARN,
        "registry.k8s.io/pause:3.6",
        "registry.k8s.io/pause:3.10.2",
    )
    newer = replace(PROFILE, spec=replace(PROFILE.spec, kubernetes=Kubernetes("v1.39.0")))
    assert "newer than the list" in only(checks.sandbox_image, dump(), profile=newer).cause
    own = replace(PROFILE, spec=replace(PROFILE.spec, containerd=ContainerdSpec("mirror/pause:1")))
    assert only(checks.sandbox_image, dump(pause="mirror/pause:1"), profile=own).level is Level.PASS
    assert only(checks.sandbox_image, dump(pause="")).found == "registry.k8s.io/pause:3.8, containerd's default"
    assert only(checks.sandbox_image, dump(pause=""), ContainerdVersion((2, 9, 0))).level is Level.UNKNOWN
    right = only(checks.sandbox_image, dump(pause=""), ContainerdVersion((2, 3, 4)))
    assert (right.level, right.found) == (Level.PASS, "registry.k8s.io/pause:3.10.2, containerd's default")


def test_a_dump_without_the_disabled_cri_is_made_good_by_the_files() -> None:
    docker = ContainerdEffective({"version": 2, "disabled_plugins": [CRI], "plugins": {}}, "dump")
    files = config('disabled_plugins = ["cri"]')
    assert only(checks.systemd_cgroups, docker, files).found == "SystemdCgroup = false"
    assert only(checks.handlers, docker, files).found == "kata-qemu, kata-clh missing"
    assert only(checks.default_runtime, docker, files).level is Level.PASS
    assert only(checks.sandbox_image, docker, files).level is Level.WARN


def test_key_conflicts() -> None:
    assert only(checks.key_conflicts, dump(), config()).level is Level.PASS
    found = only(checks.key_conflicts, dump(registry={"config_path": "/c", "mirrors": {"a": {}}}), config())
    assert (found.level, found.subject) == (Level.FAIL, MAIN)


DEBIAN = """version = 2
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""


def test_cni_is_looked_for_where_cilium_puts_it() -> None:
    assert only(checks.cni_folders, dump(), config()).level is Level.PASS
    usual = {"bin_dirs": ["/usr/libexec/cni", "/opt/cni/bin/"], "conf_dir": "/etc/cni/net.d"}
    assert only(checks.cni_folders, dump(cni=usual), config()).found == "/opt/cni/bin, /etc/cni/net.d"
    listed = only(checks.cni_folders, dump(cni={"bin_dirs": ["/usr/lib/cni"]}), config(), profile=load("worker"))
    assert (listed.level, listed.subject) == (Level.WARN, "bin_dirs")


def test_debian_s_cni_folder_is_not_cilium_s() -> None:
    where = {"bin_dir": "/usr/lib/cni", "conf_dir": "/etc/cni/net.d"}
    found = only(checks.cni_folders, dump(cni=where), config(DEBIAN), profile=load("worker"))
    assert (found.level, found.subject, found.found, found.wanted) == (
        Level.WARN, "bin_dir", "/usr/lib/cni", "/opt/cni/bin",
    )  # fmt: skip
    assert not found.fixed_by
    assert found.fix
    assert "{cni: {binPath: /usr/lib/cni}}" in found.fix.text
    assert found.evidence[0].source == MAIN
    told = load("worker", ("cilium.values={cni: {binPath: /usr/lib/cni}}",))
    assert only(checks.cni_folders, dump(cni=where), config(DEBIAN), profile=told).level is Level.PASS


def test_where_the_cluster_begins_cilium_follows_containerd_unless_the_profile_says_otherwise() -> None:
    where = {"bin_dir": "/usr/lib/cni", "conf_dir": "/etc/cni/net.d"}
    assert only(checks.cni_folders, dump(cni=where), config(DEBIAN)).found == "/usr/lib/cni, /etc/cni/net.d"
    told = load("single-node", ("cilium.values={cni: {binPath: /opt/cni/bin}}",))
    assert only(checks.cni_folders, dump(cni=where), config(DEBIAN), profile=told).level is Level.WARN


def test_shim_exists() -> None:
    runtimes = {"runc": RUNC, "kata-qemu": KATA, "runsc": {"runtime_type": "io.containerd.runsc.v1"}, "odd": {}}
    shims = Shims({"containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2"}, {KATA["runtime_path"]: False})
    found = {finding.subject: finding for finding in judged(checks.shim_exists, dump(runtimes), shims)}
    assert found["runc"].found == "/usr/bin/containerd-shim-runc-v2"
    assert found["kata-qemu"].found == "/opt/kata/bin/containerd-shim-kata-v2 is not there"
    assert found["runsc"].found == "containerd-shim-runsc-v1 is not on PATH"
    assert found["odd"].level is Level.WARN
    assert found["kata-qemu"].fix
    assert "spec.kata.prefix" in found["kata-qemu"].fix.text


@pytest.mark.parametrize(
    "check", [checks.handlers, checks.default_runtime, checks.sandbox_image, checks.key_conflicts, checks.cni_folders]
)
def test_of_a_configuration_that_containerd_refuses_nothing_more_is_said(check: Check) -> None:
    assert judged(check, ContainerdEffective(error="x"), config(), V17, Shims()) == []
