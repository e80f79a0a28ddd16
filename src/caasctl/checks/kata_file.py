"""A Kata configuration that doctor was given: where VFIO devices go, how long a guest may take, and its cgroup."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.given import KATA, Given, GivenFiles, get, table, text
from caasctl.formats.documents import Document
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile

_NO = ("", "no-port")
_PORTS = ("no-port", "root-port", "switch-port", "bridge-port")
_CLH = ("clh", "cloud-hypervisor")
_WAIT_S = 1200  # NVIDIA's own configuration for guests with GPUs
_OF_GPUS = "nvidia"


def _tables(facts: Facts) -> Iterator[tuple[Given, Document, str]]:
    """Each hypervisor's table of each file."""
    given = facts.get(GivenFiles)
    for file in given.of(KATA) if given else ():
        for document in file.documents:
            for name in table(document.data, "hypervisor"):
                yield file, document, name


def _where(file: Given, document: Document, *path: str) -> str:
    line = document.line(*path)
    return f"{file.name} line {line}" if line else file.name


@check(
    "kata.file_ports",
    "A given Kata configuration passes GPUs through in one way that its hypervisor has",
    reads=(),
    why="Kata's runtime stops at two ways at once (`only one of them can be set`), and with none a pod with a GPU fails:"
    " `cold_plug_vfio= or hot_plug_vfio= port is not set for device`.",
    fix='cold_plug_vfio = "root-port" and hot_plug_vfio = "no-port", with QEMU; docs/runtimes.md says why.',
    source="kata-containers#10582, #11687, #12257; src/runtime/pkg/katautils/config.go",
)
def file_ports(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """cold_plug_vfio and hot_plug_vfio of each [hypervisor.*]."""
    for file, document, name in _tables(facts):
        cold, hot = (text(document.data, "hypervisor", name, f"{way}_plug_vfio") for way in ("cold", "hot"))
        said = f'cold_plug_vfio = "{cold}", hot_plug_vfio = "{hot}"'
        problem = _ports(name, cold, hot, gpus=_OF_GPUS in file.text.lower())
        if problem:
            path = ("hypervisor", name, "cold_plug_vfio" if cold not in _NO or hot in _NO else "hot_plug_vfio")
            clh = name in _CLH
            mend = (
                'cold_plug_vfio = "no-port", hot_plug_vfio = "no-port"'
                if clh
                else 'cold_plug_vfio = "root-port", hot_plug_vfio = "no-port"'
            )
            yield failed(f"[hypervisor.{name}] {said}", wanted=mend, subject=file.name, cause=problem,
                         fix=Fix(f"in {_where(file, document, *path)}: {mend}", FixKind.EDIT), evidence=(file.at(document, path, said),))  # fmt: skip
        else:
            yield passed(f"[hypervisor.{name}] {said}", subject=file.name)


def _ports(name: str, cold: str, hot: str, *, gpus: bool) -> str:
    """What comes of it; "" where it works."""
    if cold not in _NO and hot not in _NO:
        return "Kata: `only one of them can be set`."
    if {cold, hot} - {"", *_PORTS}:
        return f"Kata knows {', '.join(_PORTS)} only."
    if name in _CLH and {cold, hot} - set(_NO):
        return "Cloud Hypervisor takes no GPU this way: `has no IOMMU group` in the guest, or `IommuDmaMap(Error(17))` from the second one on."
    if gpus and name not in _CLH and cold in _NO and hot in _NO:
        return "A pod with a GPU fails: `cold_plug_vfio= or hot_plug_vfio= port is not set for device`."
    return ""


@check(
    "kata.file_timeout",
    "A given Kata configuration for GPUs waits as long as such a guest takes",
    reads=(),
    why="A guest with GPUs maps all its memory before it starts, which takes minutes: the pod ends in `context deadline exceeded`.",
    fix="create_container_timeout = 1200, and runtimeRequestTimeout: 20m0s in the kubelet's configuration.",
    source="kata-containers: configuration-qemu-nvidia-gpu.toml",
)
def file_timeout(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """create_container_timeout of [runtime], in a configuration that names NVIDIA's kernel, image or ports for VFIO."""
    for file, document, name in _tables(facts):
        cold = text(document.data, "hypervisor", name, "cold_plug_vfio")
        if name in _CLH or (_OF_GPUS not in file.text.lower() and cold in _NO):
            continue
        waits = get(document.data, "runtime", "create_container_timeout")
        path = ("runtime", "create_container_timeout")
        if isinstance(waits, int) and waits >= _WAIT_S:
            yield passed(f"{waits} s", subject=file.name)
        else:
            yield warned(f"{waits} s" if waits is not None else "not given: 60 s", wanted=f"{_WAIT_S} s", subject=file.name,
                         fix=Fix(f"in {_where(file, document, *path)}: create_container_timeout = {_WAIT_S}", FixKind.EDIT),
                         evidence=(file.at(document, path),))  # fmt: skip


@check(
    "kata.file_cgroup",
    "A given Kata configuration keeps the hypervisor in its pod's cgroup",
    reads=(),
    why="With sandbox_cgroup_only = false the hypervisor and virtiofsd run in /kata_overhead, beside all limits: one tenant's pod can"
    " take the memory of the others.",
    fix="sandbox_cgroup_only = true, and an overhead in the RuntimeClass.",
    source="kata-containers: docs/design/host-cgroups.md",
)
def file_cgroup(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """sandbox_cgroup_only of [runtime]; not given it is false for the Go runtime."""
    given = facts.get(GivenFiles)
    for file in given.of(KATA) if given else ():
        for document in file.documents:
            said, path = get(document.data, "runtime", "sandbox_cgroup_only"), ("runtime", "sandbox_cgroup_only")
            if said is True:
                yield passed("true", subject=file.name)
            else:
                yield warned("false" if said is False else "not given", wanted="true", subject=file.name,
                             fix=Fix(f"in {_where(file, document, *path)}: sandbox_cgroup_only = true", FixKind.EDIT),
                             evidence=(file.at(document, path),))  # fmt: skip


CHECKS: tuple[Check, ...] = (file_ports, file_timeout, file_cgroup)
