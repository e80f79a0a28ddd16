"""A field report's failures, one after the other: each that a host can show is named by its check, on the recorded host of that day."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from caasctl.checks import ALL_CHECKS, CHECKS
from caasctl.commands import Session
from caasctl.doctor.rules import shipped_rules
from caasctl.facts.kubernetes_kubelet import SHOW as SHOW_KUBELET
from caasctl.model import Finding, Level
from caasctl.phases import ORDER

TOP = Path(__file__).resolve().parents[1]
HOST = TOP / "tests/hosts/a10-hybrid-docker-containerd"
TABLES = (TOP / "docs/failures.md").read_text()
NAMED_BY_DOCTOR = {check.id for check in ALL_CHECKS} | {rule.id for rule in shipped_rules().symptoms}
ID = re.compile(r"`([a-z]+\.[a-z0-9_]+)`")
CONFIG = "etc/containerd/config.toml"
CRI = '[plugins."io.containerd.grpc.v1.cri".containerd'
PROGRAMS = "usr/bin"
ONLY_OPTIONS = f"{CRI}.runtimes.runc.options]\n  SystemdCgroup = true\n"
BY_KATA_MANAGER = f"""version = 2
{CRI}]
  default_runtime_name = "kata"
{CRI}.runtimes.kata]
  runtime_type = "io.containerd.kata.v2"
  privileged_without_host_devices = true
{CRI}.runtimes.kata.options]
  ConfigPath = "/opt/kata/share/defaults/kata-containers/configuration.toml"
"""
KATA = {
    "opt/kata/VERSION": "3.19.1\n",
    "opt/kata/bin/containerd-shim-kata-v2": "",
    "opt/kata/share/defaults/kata-containers/configuration-qemu.toml": '[hypervisor.qemu]\npath = "/opt/kata/bin/qemu"\n',
}
OLD_KUBEADM = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nkubernetesVersion: v1.32.0\n"
KUBELET_SHOWS = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=37\nUnitFileState=enabled\n"
POD = "kubepods-burstable-pod1cb906775da66a3175cc9b6ea7b90e13.slice:cri-containerd:2f4e6d27fffb44a10c04097efc7f7d19"


def rows(heading: str) -> list[list[str]]:
    text = TABLES.partition(f"## {heading}")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    return cells[2:]


def ids(*headings: str) -> set[str]:
    return {found for heading in headings for row in rows(heading) for found in ID.findall(row[1])}


def on(host: Path, *settings: str) -> dict[str, list[Finding]]:
    """Findings that are no pass, by id."""
    bad: dict[str, list[Finding]] = {}
    for finding in Session("single-node", settings, str(host)).preflight((), strict=False).findings:
        if finding.level in (Level.FAIL, Level.WARN):
            bad.setdefault(finding.id, []).append(finding)
    return bad


def later(folder: Path, files: dict[str, str], *, gone: tuple[str, ...] = (), empty: str = "") -> Path:
    """The same host on another day: files written, programs gone, a listing empty; containerd's dump of that day is not recorded."""
    host = folder / "host"
    shutil.copytree(HOST, host, symlinks=True)
    for path, text in files.items():
        (host / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (host / "root" / path).write_text(text)
        (host / "root" / path).chmod(0o755)
    commands = json.loads((host / "commands.json").read_text())
    kept = [entry for entry in commands if entry["argv"][-1] != "dump" and entry["argv"][0] != "ctr"]
    (host / "commands.json").write_text(json.dumps(kept))
    manifest: dict[str, Any] = json.loads((host / "manifest.json").read_text())
    for name in gone:
        manifest["listings"][f"/{PROGRAMS}"].remove(name)
        del manifest["stats"][f"stat /{PROGRAMS}/{name}"]
    if empty:
        manifest["listings"][empty] = []
    (host / "manifest.json").write_text(json.dumps(manifest))
    return host


def cdi(kind: str, names: dict[str, str], version: str = "0.7.0") -> str:
    """A specification with a group of VFIO behind each name."""
    devices = [{"name": name, "containerEdits": {"deviceNodes": [{"path": f"/dev/vfio/{group}", "type": "c", "permissions": "rwm"}]}}
               for name, group in names.items()]  # fmt: skip
    return json.dumps({"cdiVersion": version, "containerEdits": {}, "devices": devices, "kind": kind})


BY_HAND = {"etc/cdi/nvidia.com-gpu.json": cdi("nvidia.com/gpu", {"0": "25", "1": "31", "2": "182", "3": "188"})}
OF_A_CHAT = {
    "etc/cdi/vfio-gpus.json": json.dumps(
        {"cdiVersion": "0.6.0", "kind": "VendorDevice", "metadata": {"vendor": "vfio.example.com"}}
    )
}
BY_PLUGIN = {
    "var/run/cdi/nvidia.com-pgpu.yaml": cdi("nvidia.com/pgpu", {group: group for group in ("25", "31")}, "0.5.0")
}
TWO_PLUGINS = {"var/lib/kubelet/device-plugins/kubelet_internal_checkpoint": json.dumps({"Data": {"PodDeviceEntries": None, "RegisteredDevices": {
    "nvidia.com/gpu": ["0", "1", "2", "3"], "nvidia.com/GA102GL_A10": ["25", "31"]}}, "Checksum": 1})}  # fmt: skip
# What the report met on the first day, before anything was mended: id -> (level, what the finding must say).
FIRST_DAY = {
    "cgroup.unified": (Level.FAIL, "cgroup2 only at /sys/fs/cgroup/unified"),
    "boot.cmdline_pending": (Level.FAIL, "systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"),
    "boot.cmdline_useless": (Level.WARN, "rd.driver.pre=vfio-pci"),
    "boot.hugepages_budget": (Level.WARN, "906 x 1 GiB"),
    "containerd.cri_enabled": (Level.FAIL, 'disabled_plugins has "cri"'),
    "containerd.crictl_endpoint": (Level.WARN, "no /etc/crictl.yaml"),
    "containerd.docker_shared": (Level.WARN, "containers of Docker"),
    "containerd.handlers": (Level.FAIL, "kata-qemu, kata-clh, kata-qemu-nvidia-gpu missing"),
    "containerd.sandbox_image": (Level.WARN, "registry.k8s.io/pause:3.8"),
    "containerd.supported": (Level.WARN, "1.7.20"),
    "containerd.systemd_cgroup": (Level.FAIL, "SystemdCgroup = false"),
    "cgroup.driver_match": (Level.FAIL, "cgroupfs, but systemd"),
    "kubernetes.kubelet_flags": (Level.WARN, 'address: "10.254.192.244", port: 20250'),
    "network.ipv6_disabled": (Level.WARN, "ipv6.disable=1"),
    "network.node_ip": (Level.WARN, "10.254.192.244"),
    "os.supported": (Level.FAIL, "Ubuntu 20.04"),
}
# And on later days: (what changed on the host, id, level, what the finding must say).
LATER_DAYS = {
    "the kernel does not forward": ({"proc/sys/net/ipv4/ip_forward": "0\n"}, "network.ip_forward", Level.FAIL, "0"),
    "SystemdCgroup in a file without a version": (
        {CONFIG: ONLY_OPTIONS}, "containerd.unknown_keys", Level.FAIL, "is ignored: the file has no version",
    ),
    "and it does not count": ({CONFIG: ONLY_OPTIONS}, "containerd.systemd_cgroup", Level.FAIL, "SystemdCgroup = false"),
    "kata-manager.sh made Kata the default": (
        {CONFIG: BY_KATA_MANAGER}, "containerd.default_runtime", Level.FAIL, "kata",
    ),
    "and dropped runc": ({CONFIG: BY_KATA_MANAGER}, "containerd.systemd_cgroup", Level.FAIL, "no handler runc"),
    "its shim wants a newer C library": (KATA, "kata.glibc", Level.FAIL, "needs 2.34, the host has 2.31"),
    "its tree lacks what its configuration names": (KATA, "kata.tree", Level.FAIL, "/opt/kata/bin/qemu"),
    "pods over night": (
        {f"sys/fs/cgroup/unified/system.slice/{POD}/cgroup.procs": "812\n"}, "cgroup.pods_misplaced", Level.FAIL,
        "1 below system.slice",
    ),
    "kubeadm's configuration is of an old version": (
        {"etc/kubernetes/caasctl/kubeadm.yaml": OLD_KUBEADM}, "kubernetes.config_api", Level.WARN, "kubeadm.k8s.io/v1beta3",
    ),
    "NVIDIA's operator was uninstalled": (
        {"sys/bus/pci/devices/0000:31:00.0/uevent": "PCI_CLASS=30200\nPCI_ID=10DE:2236\n"}, "gpu.bound", Level.FAIL,
        "0000:31:00.0 (no driver)",
    ),
    "its driver on the host": ({"sys/module/nvidia/refcnt": "1\n"}, "gpu.no_host_driver", Level.FAIL, "nvidia"),
    "and what it left": ({"var/lib/dkms/nvidia/550.54/source": ""}, "gpu.leftovers", Level.WARN, "DKMS tree nvidia"),
    "a CDI specification as a chat invented it": (OF_A_CHAT, "cdi.parses", Level.FAIL, 'unknown field "metadata"'),
    "a CDI specification by hand": (BY_HAND, "cdi.version", Level.FAIL, "cdiVersion 0.7.0"),
    "and the device plugin's own": (
        {**BY_HAND, **BY_PLUGIN}, "cdi.duplicates", Level.WARN, "given as nvidia.com/gpu=0 and nvidia.com/pgpu=25",
    ),
    "which caasctl would write as well": (BY_PLUGIN, "cdi.one_writer", Level.FAIL, "written by another program"),
    "two injectors for one GPU": (
        {**BY_HAND, **TWO_PLUGINS}, "cdi.resource_matches", Level.FAIL,
        "offered as nvidia.com/gpu=0 and nvidia.com/GA102GL_A10=25",
    ),
    "a kernel upgrade asks for a reboot": (
        {"run/reboot-required": "", "run/reboot-required.pkgs": "libc6\n"}, "os.reboot_pending", Level.WARN, "libc6",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def first_day() -> dict[str, list[Finding]]:
    return on(HOST)


@pytest.mark.parametrize("name", FIRST_DAY)
def test_what_the_first_day_met_is_named(name: str, first_day: dict[str, list[Finding]]) -> None:
    level, said = FIRST_DAY[name]
    assert [found for found in first_day[name] if found.level is level and said in found.found], first_day[name]


@pytest.mark.parametrize("day", LATER_DAYS)
def test_what_later_days_met_is_named(day: str, tmp_path: Path) -> None:
    files, name, level, said = LATER_DAYS[day]
    found = on(later(tmp_path, files))
    assert [one for one in found.get(name, ()) if one.level is level and said in one.found], found.get(name)


def test_a_containerd_that_apt_took_away_is_named_with_runc(tmp_path: Path) -> None:
    found = on(later(tmp_path, {}, gone=("containerd", "runc")))
    assert {"containerd.installed", "containerd.runc_installed"} <= found.keys()


def test_an_iommu_that_is_only_an_argument_is_named(tmp_path: Path) -> None:
    (found,) = on(later(tmp_path, {}, empty="/sys/class/iommu"))["iommu.enabled"]
    assert found.level is Level.FAIL
    assert "DMAR" in found.found


def test_a_kubelet_newer_than_the_cluster_that_is_to_be_is_named() -> None:
    (found,) = [one for one in on(HOST, "kubernetes.version=v1.32.0")["kubernetes.skew"] if one.subject == "kubelet"]
    assert (found.level, found.found) == (Level.FAIL, "kubelet 1.33.3, the profile: 1.32")
    assert "the kubelet version is higher than the control plane version" in found.cause


def test_a_field_of_a_wrong_name_is_named() -> None:
    (found,) = on(HOST, "kubernetes.kubelet={localAPIEndpoint: {}}")["kubernetes.config_api"]
    assert "localAPIEndpoint" in found.found
    assert "strict decoding error" in next(check.why for check in CHECKS if check.id == "kubernetes.config_api")


def test_a_kubelet_that_crashes_because_it_has_no_configuration_yet_is_no_failure(tmp_path: Path) -> None:
    host = later(tmp_path, {})
    (host / "root/var/lib/kubelet/config.yaml").unlink()
    commands = json.loads((host / "commands.json").read_text())
    commands.append({"argv": list(SHOW_KUBELET), "rc": 0, "stdout": KUBELET_SHOWS, "stderr": ""})
    (host / "commands.json").write_text(json.dumps(commands))
    report = Session("single-node", (), str(host)).preflight(("kubernetes.kubelet_waiting",), strict=False)
    assert [(one.level, one.found) for one in report.findings] == [
        (Level.PASS, "waits for kubeadm: no configuration yet (37 restarts)")
    ]


OWN_NETWORK = ("network.podCIDR=10.254.192.244/24", "network.serviceCIDR=10.254.192.244/24")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("network.cidr_valid", "10.254.192.244/24 is the address of one machine in 10.254.192.0/24"),
        ("network.cidrs_disjoint", "10.254.192.0/24"),
        ("network.pod_cidr_free", "eno1 10.254.192.244/24"),
        ("network.service_cidr_free", "eno1 10.254.192.244/24"),
    ],
)
def test_a_cluster_laid_over_the_host_s_own_network_is_refused_with_the_reason(name: str, said: str) -> None:
    found = on(HOST, *OWN_NETWORK)[name]
    assert [one for one in found if one.level is Level.FAIL and said in one.found], found


def test_the_block_that_is_proposed_instead_is_free() -> None:
    (found,) = on(HOST, *OWN_NETWORK)["network.pod_cidr_free"]
    assert found.fix
    proposed = re.findall(r"podCIDR: (\S+)", found.fix.text)
    left = on(HOST, f"network.podCIDR={proposed[0]}").keys()
    assert not {"network.cidr_valid", "network.pod_cidr_free", "network.cidrs_disjoint"} & left


def test_on_that_host_auto_keeps_clear_of_it() -> None:
    report = Session("single-node", (), str(HOST)).preflight(("network.pod_cidr_free",), strict=False)
    assert [(one.level, one.found.split(",")[0]) for one in report.findings] == [(Level.PASS, "10.244.0.0/16")]


def test_every_failure_of_the_report_that_is_ours_is_proven_here() -> None:
    proven = {*FIRST_DAY, *(name for _, name, _, _ in LATER_DAYS.values())}
    apart = {
        "containerd.installed",
        "containerd.runc_installed",
        "iommu.enabled",
        "kata.annotations",
        "kubernetes.skew",
        "kubernetes.kubelet_waiting",
    }
    apart |= {f"network.{name}" for name in ("cidr_valid", "cidrs_disjoint", "pod_cidr_free", "service_cidr_free")}
    by_a_cluster = {
        "network.node_mask",
        "cilium.pool_matches",
    }  # tests/checks: a host before its first init has no pool
    assert ids("The field report") - proven == apart | by_a_cluster


def test_every_row_names_a_check_and_who_mends_or_the_work_that_will() -> None:
    phases = {phase.id for phase in ORDER}
    mends = {check.id: check.fixed_by for check in CHECKS}
    for heading in ("The field report", "Other symptoms"):
        for failure, named, who in rows(heading):
            found = ID.findall(named)
            assert set(found) <= mends.keys(), failure
            named_phases = re.findall(r"phase (\w+)", who)
            by_doctor = "`caasctl doctor` names" in who
            assert bool(found) or by_doctor or who.startswith("phase "), failure
            assert not by_doctor or set(ID.findall(who)) <= NAMED_BY_DOCTOR, failure
            assert set(named_phases) <= phases, failure
            for phase in named_phases if found and who.startswith("phase ") else ():
                assert phase in {mends[name] for name in found}, failure
