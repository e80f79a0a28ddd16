"""What a finished run of init-node, and the reboot that it asks for, leave on a recorded host: no command runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from tests.hosts import cluster

from caasctl import engine, planning, profile_load
from caasctl.bundle import BundleHost
from caasctl.phases import ORDER
from caasctl.protocol import Known, Resource
from caasctl.resources.cmdline import Cmdline
from caasctl.resources.gpu import DEVICES, Binding
from caasctl.resources.gpu.specification import Specification
from caasctl.resources.kernel import KernelModule, Sysctl
from caasctl.resources.kubeadm.begin import KubeadmInit
from caasctl.resources.units import Unit
from caasctl.syntax import sysctl
from caasctl.syntax.cdi import passthrough

V2 = "24 23 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
_BRINGS = {"vfio_pci": ("vfio",)}
_CONTROLLERS = "cpuset cpu io memory hugetlb pids rdma misc\n"


def put(recording: Path, path: str, text: str) -> None:
    """A file of the recorded host."""
    target = recording / f"root{path}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def resources(recording: Path) -> list[Resource]:
    """All that the phases want of the host, in order."""
    facts = engine.collect(BundleHost(str(recording)))
    return [resource for phase in ORDER for resource in phase.desired(facts, profile_load.load())]


def host_of(recording: Path) -> BundleHost:
    return BundleHost(str(recording))


def rendered(recording: Path) -> None:
    """Writes the files of the plan, and nothing else."""
    files, lost = planning.render(BundleHost(str(recording)), profile_load.load(), ORDER)
    assert not lost, lost
    for path, wanted in files.items():
        put(recording, path, wanted.text)
        (recording / f"root{path}").chmod(wanted.mode or 0o644)


def take_effect(recording: Path) -> None:
    """Files, kernel modules, settings, swap, boot menu and reboot."""
    wanted = resources(recording)
    rendered(recording)
    host = BundleHost(str(recording))
    for resource in wanted:
        if isinstance(resource, KernelModule):
            for module in (resource.module, *_BRINGS.get(resource.module, ())):
                _load(recording, module)
        elif isinstance(resource, Sysctl):
            now = resource.target(resource.look(host))
            put(
                recording, sysctl.proc_path(resource.key), f"{now.text if isinstance(now, Known) else resource.value}\n"
            )
        elif isinstance(resource, Unit) and resource.masked:
            _mask(recording, resource.unit)
        elif isinstance(resource, Cmdline):
            _reboot(recording, resource.wanted)
        elif isinstance(resource, Binding):
            _bind(recording, resource.addresses)
        elif isinstance(resource, Specification):
            _specify(recording, resource)
        elif isinstance(resource, KubeadmInit):
            cluster.manifests(recording, resource)
            _cilium(recording)
    put(recording, "/proc/swaps", SWAPS)


def _bind(recording: Path, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        folder = recording / f"root{DEVICES}/{address}"
        (folder / "driver").unlink(missing_ok=True)
        (folder / "driver").symlink_to("../../../../bus/pci/drivers/vfio-pci")
        told = re.sub(r"^DRIVER=.*\n", "", (folder / "uevent").read_text(), flags=re.MULTILINE)
        (folder / "uevent").write_text(f"DRIVER=vfio-pci\n{told}")


def _nodes(recording: Path, groups: list[str]) -> None:
    path = recording / "manifest.json"
    found = json.loads(path.read_text())
    found["stats"] |= {f"stat /dev/vfio/{name}": {"kind": "char", "mode": "0600"} for name in ("vfio", *groups)}
    path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _specify(recording: Path, resource: Specification) -> None:
    links = (Path(f"{recording}/root{DEVICES}/{address}/iommu_group").readlink() for address in resource.addresses)
    groups = [link.name for link in links]
    put(recording, resource.path, passthrough.text(resource.kind, [passthrough.group(name) for name in groups]))
    _nodes(recording, groups)


def _cilium(recording: Path) -> None:
    """Its interfaces and routes, where the recording has the answers of `ip`."""
    pods = yaml.safe_load((recording / "root/etc/kubernetes/caasctl/cilium-values.yaml").read_text())
    (pool,) = pods["ipam"]["operator"]["clusterPoolIPv4PodCIDRList"]
    every = json.loads((recording / "commands.json").read_text())
    text = json.dumps(cluster.with_cilium(every, pool), indent=2, ensure_ascii=False)
    (recording / "commands.json").write_text(text + "\n")


def _mask(recording: Path, unit: str) -> None:
    link = recording / "root/etc/systemd/system" / unit
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/dev/null")


def _load(recording: Path, module: str) -> None:
    modules = recording / "root/proc/modules"
    told = modules.read_text() if modules.exists() else ""
    if not re.search(rf"^{module} ", told, re.MULTILINE):
        put(recording, "/proc/modules", f"{told}{module} 28672 0 - Live 0x0000000000000000\n")
        put(recording, f"/sys/module/{module}/initstate", "live\n")


def _reboot(recording: Path, arguments: tuple[str, ...]) -> None:
    """The arguments in every normal entry and in the kernel that runs; with cgroup v1 off, only v2 is mounted."""
    for path in ("boot/grub/grub.cfg", *(f"boot/loader/entries/{p.name}" for p in _entries(recording))):
        menu = recording / "root" / path
        if menu.exists():
            lines = (_with(line, arguments) for line in menu.read_text().splitlines())
            menu.write_text("".join(f"{line}\n" for line in lines))
    told = (recording / "root/proc/cmdline").read_text().strip()
    put(recording, "/proc/cmdline", f"{told} {' '.join(_new(told, arguments))}\n")
    if "cgroup_no_v1=all" in arguments:
        put(recording, "/proc/self/mountinfo", V2)
        put(recording, "/sys/fs/cgroup/cgroup.controllers", _CONTROLLERS)
        put(recording, "/sys/fs/cgroup/cgroup.subtree_control", _CONTROLLERS)


def _entries(recording: Path) -> list[Path]:
    return sorted((recording / "root/boot/loader/entries").glob("*.conf"))


def _with(line: str, arguments: tuple[str, ...]) -> str:
    boots = re.match(r"\s*(linux\s+\S*vmlinuz\S*|options)\s", line) and not {"single", "recovery"} & set(line.split())
    return " ".join([line, *_new(line, arguments)]) if boots else line


def _new(line: str, arguments: tuple[str, ...]) -> list[str]:
    return [argument for argument in arguments if argument not in line.split()]
