"""Makes the two recorded hosts that follow from others: `python -m tests.hosts.make`. README.md says when and why."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from tests.hosts import aftermath, cluster, living

from caasctl import engine, planning, profile_load
from caasctl.bundle import BundleHost
from caasctl.phases import ORDER
from caasctl.protocol import Completed, Stat

HOSTS = Path(__file__).resolve().parent
BASE = HOSTS / "epyc-debian13-bare"
NODE = HOSTS / "already-a-node"
CLOSED = HOSTS / "almost-nothing-readable"
ANSWERED = ("a10-hybrid-docker-containerd", "debian12-plain-vm", "epyc-debian13-bare", "rhel9-bls")
GPU_UNIT = "caasctl-gpu.service"
SHM_KIB = 700000000
OWN = re.compile(
    r"/0000:|/iommu_groups/|/moby/|/conf/(?!all|default)|/class/net/|/node\d|x2d|/proc/\d\d|hugepages-|/loader/entries/"
)
KATA = "/opt/kata"
KATA_CONFIG = """\
[hypervisor.{table}]
path = "{kata}/bin/{program}"
kernel = "{kata}/share/kata-containers/vmlinux.container"
image = "{kata}/share/kata-containers/kata-containers.img"
virtio_fs_daemon = "{kata}/libexec/virtiofsd"
default_memory = 2048

[agent.kata]
"""
KATA_PARTS = ("bin/qemu-system-x86_64", "bin/cloud-hypervisor", "share/kata-containers/vmlinux.container",
              "share/kata-containers/kata-containers.img", "libexec/virtiofsd", "bin/containerd-shim-kata-v2")  # fmt: skip


def put(path: str, text: str) -> None:
    aftermath.put(NODE, path, text)


def edit(path: str, old: str, new: str) -> None:
    """A change to a file of the node; what is to be changed must be there."""
    text = (NODE / f"root{path}").read_text()
    if old not in text:
        raise SystemExit(f"{path} of {BASE.name} no longer holds {old!r}")
    put(path, text.replace(old, new))


def data(host: Path, name: str) -> Any:
    return json.loads((host / name).read_text())


def save(host: Path, name: str, what: Any) -> None:
    (host / name).write_text(json.dumps(what, indent=2, ensure_ascii=False) + "\n")


def intel() -> None:
    """The board and the name of the node: Intel, so that there is a kernel argument to bring."""
    edit("/proc/cpuinfo", "AuthenticAMD", "GenuineIntel")
    edit("/proc/cpuinfo", "AMD EPYC 9354P 32-Core Processor", "Intel(R) Xeon(R) Gold 6448Y")
    edit("/proc/cpuinfo", " svm ", " vmx ")
    edit("/proc/modules", "kvm_amd", "kvm_intel")
    shutil.rmtree(NODE / "root/sys/module/kvm_amd")
    (NODE / "root/sys/firmware/acpi/tables/IVRS").unlink()
    put("/sys/module/kvm_intel/parameters/nested", "Y\n")
    shutil.copyfile(
        HOSTS / f"{ANSWERED[0]}/root/sys/firmware/acpi/tables/DMAR", NODE / "root/sys/firmware/acpi/tables/DMAR"
    )
    edit("/proc/interrupts", "PCI-MSI 66048-edge      AMD-Vi", "DMAR-MSI    0-edge      dmar0")
    put("/proc/sys/kernel/hostname", "gpu-08\n")
    edit("/etc/hosts", "gpu-07", "gpu-08")


def administrator() -> None:
    """What the user brought: Kata's release, room in /dev/shm, crictl."""
    put(f"{KATA}/VERSION", "4.1.0\n")
    for name, program in (
        ("qemu", "qemu-system-x86_64"),
        ("clh", "cloud-hypervisor"),
        ("qemu-nvidia-gpu", "qemu-system-x86_64"),
    ):
        text = KATA_CONFIG.format(table=name.partition("-")[0], program=program, kata=KATA)
        put(f"{KATA}/share/defaults/kata-containers/configuration-{name}.toml", text)
    edit(
        "/proc/mounts",
        "tmpfs /dev/shm tmpfs rw,nosuid,nodev,inode64",
        f"tmpfs /dev/shm tmpfs rw,nosuid,nodev,size={SHM_KIB}k,inode64",
    )
    put("/etc/fstab", (NODE / "root/etc/fstab").read_text() + f"tmpfs /dev/shm tmpfs defaults,size={SHM_KIB}k 0 0\n")


def gpus() -> None:
    """The disk that shared a group with a GPU is in another slot."""
    group = NODE / "root/sys/bus/pci/devices/0000:84:00.0/iommu_group"
    group.unlink()
    group.symlink_to("../../../../kernel/iommu_groups/43")


def manifest() -> None:
    found = data(BASE, "manifest.json")
    found |= {"host": "gpu-08", "when": "2026-02-12T11:00:00+00:00"}
    file = {"kind": "file", "mode": "0755"}
    found["stats"] |= {f"stat {KATA}/{part}": file for part in KATA_PARTS}
    found["stats"] |= {"stat /usr/bin/crictl": file, "stat /dev/vhost-vsock": {"kind": "char", "mode": "0660"}}
    listings = found["listings"]
    listings["/sys/class/iommu"] = ["dmar0", "dmar1", "dmar2", "dmar3"]
    listings["/sys/firmware/acpi/tables"] = [
        name.replace("IVRS", "DMAR") for name in listings["/sys/firmware/acpi/tables"]
    ]
    save(NODE, "manifest.json", found)
    commands = [one for one in data(BASE, "commands.json") if one["argv"][1:2] != ["--config"]]
    for one in commands:
        if one["argv"][-1] == GPU_UNIT and "LoadState" in one["argv"][3]:
            one["stdout"] = (
                "ActiveEnterTimestampMonotonic=9000000\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"
            )
    asked = [
        "/usr/bin/crictl",
        "--runtime-endpoint",
        "unix:///run/containerd/containerd.sock",
        "--timeout",
        "2s",
        "info",
    ]
    commands += [{"argv": ["grep", "-aom1", "GLIBC_2[.][0-9][0-9]*", f"{KATA}/bin/containerd-shim-kata-v2"], "rc": 1, "stdout": "", "stderr": ""},
                 {"argv": asked, "rc": 0, "stdout": json.dumps(cri()), "stderr": ""}]  # fmt: skip
    save(NODE, "commands.json", commands)


def the_cluster() -> None:
    """What `kubeadm init` and Cilium leave, and the programs that made it."""
    cluster.files(NODE)
    found = data(NODE, "manifest.json")
    found["stats"] |= cluster.stats()
    save(NODE, "manifest.json", found)
    told = [*cluster.commands(NODE), *living.Living().commands()]
    replaced = {tuple(one["argv"]) for one in told}
    save(
        NODE,
        "commands.json",
        [*(one for one in data(NODE, "commands.json") if tuple(one["argv"]) not in replaced), *told],
    )


def cri() -> dict[str, Any]:
    """The part of `crictl info` that caasctl reads."""
    kata = {
        f"kata-{name}": {"runtimeType": f"io.containerd.kata-{name}.v2", "options": {}}
        for name in ("qemu", "clh", "qemu-nvidia-gpu")
    }
    runc = {"runc": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}}}
    network = {"type": "NetworkReady", "status": True}
    return {"status": {"conditions": [{"type": "RuntimeReady", "status": True}, network]},
            "config": {"containerd": {"defaultRuntimeName": "runc", "runtimes": runc | kata},
                       "sandboxImage": "registry.k8s.io/pause:3.10.2"}}  # fmt: skip


def already_a_node() -> None:
    """All or nothing: where a phase breaks, the node of the last time comes back."""
    before = NODE / "before"
    (NODE / "root").rename(before)
    try:
        shutil.copytree(BASE / "root", NODE / "root", symlinks=True)
        intel()
        administrator()
        gpus()
        manifest()
        aftermath.take_effect(NODE)
        the_cluster()
    except BaseException:
        shutil.rmtree(NODE / "root", ignore_errors=True)
        before.rename(NODE / "root")
        raise
    shutil.rmtree(before)


class AskingHost(BundleHost):
    """A recorded host that keeps the questions."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.asked: set[str] = set()

    def read_bytes(self, path: str) -> bytes | None:
        self.asked.add(f"read {path}")
        return super().read_bytes(path)

    def tail(self, path: str, size_bytes: int) -> str | None:
        self.asked.add(f"tail {path}")
        return super().tail(path, size_bytes)

    def list(self, path: str) -> tuple[str, ...] | None:
        self.asked.add(f"list {path}")
        return super().list(path)

    def readlink(self, path: str) -> str | None:
        self.asked.add(f"link {path}")
        return super().readlink(path)

    def stat(self, path: str, *, follow: bool = True) -> Stat | None:
        self.asked.add(f"{'stat' if follow else 'lstat'} {path}")
        return super().stat(path, follow=follow)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        self.asked.add(" ".join(["query", *argv]))
        return super().query(*argv, timeout_s=timeout_s)


def questions() -> set[str]:
    """All that caasctl asks of the hosts that answer, less what only one of them has."""
    asked: set[str] = set()
    for name in ANSWERED:
        host = AskingHost(str(HOSTS / name))
        planning.look_through(host, engine.collect(host), profile_load.load(), ORDER)
        asked |= host.asked
    return {question for question in asked if not OWN.search(question)}


def almost_nothing_readable() -> None:
    """Every question is refused that is not about the few files in root/."""
    there = {f"/{path.relative_to(CLOSED / 'root')}" for path in (CLOSED / "root").rglob("*") if path.is_file()}
    found = data(CLOSED, "manifest.json")
    release = (CLOSED / "root/proc/sys/kernel/osrelease").read_text().strip()
    ours = {re.sub(r"[56]\.\d+\.\d[\w.+-]*", release, question) for question in questions()}
    found["unread"] = {q: "permission denied" for q in sorted(ours) if q.split(" ", 1)[1] not in there}
    save(CLOSED, "manifest.json", found)


if __name__ == "__main__":
    already_a_node()
    almost_nothing_readable()
