"""Control groups: version 2 alone, with the controllers that kubelet and Kata use."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import BootLoader, CommandLine, GrubConfig
from caasctl.facts.cgroup import ROOT, CgroupLayout
from caasctl.facts.os import Systemd
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline
from caasctl.syntax.boot_arguments import HIERARCHY

_ELSEWHERE = "append systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to the kernel command line (boot.loader_supported says how)"
_REQUIRED = ("cpu", "cpuset", "memory", "pids")  # without one of them kubeadm stops or the kubelet does not start
_WELCOME = ("io", "hugetlb")  # kubelet and containerd do without them since 1.19
_OPTIONS = {"cpu": "CGROUP_SCHED", "cpuset": "CPUSETS", "io": "BLK_CGROUP", "memory": "MEMCG", "pids": "CGROUP_PIDS",
            "hugetlb": "CGROUP_HUGETLB"}  # fmt: skip


@check(
    "cgroup.unified",
    "Control groups are version 2 alone",
    reads=(CgroupLayout,),
    why='Kubelet 1.35 and later does not start on version 1 ("kubelet is configured to not run on a host using cgroup v1"), '
    "and a line of `mount | grep cgroup2` is no proof of version 2: hybrid hosts mount it too, without its controllers.",
    fix="Boot with systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all; phase boot does that where systemd's default is another.",
    source="https://kubernetes.io/docs/concepts/architecture/cgroups/",
    fixed_by="boot",
)
def unified(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/self/mountinfo: what is mounted at /sys/fs/cgroup."""
    layout = facts[CgroupLayout]
    if layout.mode == "unified":
        yield passed(f"cgroup2 at {ROOT}")
        return
    evidence = tuple(
        Evidence("/proc/self/mountinfo", f"{m.fstype} at {m.path}") for m in layout.mounts if m.fstype != "cgroup"
    )
    fixed_by, cause, fix = _remedy(facts)
    loader = facts.get(BootLoader)
    if fixed_by and loader and not loader.configured_by_us(apply_bls=profile.spec.boot.applyBLS):
        fixed_by, fix = "", Fix(_ELSEWHERE, FixKind.EDIT, needs_reboot=True)
    yield failed(_seen(layout), wanted=f"cgroup2 at {ROOT}", cause=cause, fix=fix, fixed_by=fixed_by, evidence=evidence)


def _seen(layout: CgroupLayout) -> str:
    if layout.mode == "none":
        return f"none: nothing is mounted at {ROOT}"
    root = next((mount.fstype for mount in layout.mounts if mount.path == ROOT), "nothing")
    v2 = f"cgroup2 only at {layout.v2_at}" if layout.v2_at else "cgroup2 nowhere"
    return f"{layout.mode}: {root} at {ROOT}, {v2}, {len(layout.v1)} v1 hierarchies beside it"


def _remedy(facts: Facts) -> tuple[str, str, Fix]:
    """(phase that mends it, cause, fix): phase boot, where systemd's default or an argument brings version 1 about."""
    systemd, grub, running = facts.get(Systemd), facts.get(GrubConfig), facts.get(CommandLine)
    configured = cmdline.truth(cmdline.effective(grub.foreign_tokens, HIERARCHY)) if grub else None
    now = cmdline.truth(cmdline.effective(running.tokens, HIERARCHY)) if running else None
    if systemd and not systemd.running and not systemd.version:
        said = Fix("boot this machine with systemd as process 1", FixKind.EDIT, needs_reboot=True)
        return "", "there is no systemd here: another init has mounted these", said
    if systemd is None or systemd.default_hierarchy != "unified" or configured is False:
        return "boot", "", Fix("caasctl init-node", needs_reboot=True)
    if now is False:
        return (
            "",
            f"{HIERARCHY}=0 is on /proc/cmdline",
            Fix("take it out of the boot loader's entry", FixKind.EDIT, True),
        )
    if systemd.running:
        cause = f"systemd {systemd.version} mounts version 2 by default and no argument says otherwise: something mounted v1 later"
        return "", cause, Fix("systemctl list-units -t mount | grep cgroup   # what it lists has mounted them: stop it")
    return "", "systemd would mount version 2, but another init is process 1 and has mounted these", Fix(
        "boot this machine with systemd as process 1", FixKind.EDIT, True
    )  # fmt: skip


@check(
    "cgroup.controllers",
    "cgroup v2 offers the controllers that kubelet and Kata use",
    reads=(CgroupLayout,),
    why='kubeadm stops with "[ERROR SystemVerification]: missing required cgroups: ..."; a kubelet that does start cannot '
    "hold pods to their limits.",
    fix="Take cgroup_disable= off the kernel command line, or install a kernel that has the controllers built in.",
    source="https://github.com/kubernetes/system-validators/blob/master/validators/cgroup_validator.go",
    after=("cgroup.unified",),
)
def controllers(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/sys/fs/cgroup/cgroup.controllers and cgroup_disable= on /proc/cmdline."""
    layout = facts[CgroupLayout]
    if layout.mode != "unified":
        return
    found = " ".join(layout.controllers) or "none"
    lost = [name for name in _REQUIRED if name not in layout.controllers]
    welcome = [name for name in _WELCOME if name not in layout.controllers]
    if lost:
        cause, fix = _why_lost(facts.get(CommandLine), lost)
        yield failed(f"{found}; missing: {' '.join(lost)}", wanted=" ".join(_REQUIRED), cause=cause, fix=fix)
    elif welcome:
        yield warned(f"{found}; missing: {' '.join(welcome)}", wanted=" ".join((*_REQUIRED, *_WELCOME)), fix=_kernel(welcome),
                     cause="Pods run, but their hugepages (hugetlb) or disk bandwidth (io) cannot be limited.")  # fmt: skip
    else:
        yield passed(found)


def _why_lost(running: CommandLine | None, lost: list[str]) -> tuple[str, Fix]:
    disabled = [t for t in (running.tokens if running else ()) if t.name == "cgroup_disable" and {*t.items} & {*lost}]
    if disabled:
        text = " ".join(token.text for token in disabled)
        return f"{text} on /proc/cmdline takes them away", Fix(f"remove {text} from the boot loader's configuration",
                                                               FixKind.EDIT, needs_reboot=True)  # fmt: skip
    return "", _kernel(lost)


def _kernel(lost: list[str]) -> Fix:
    options = " ".join(f"CONFIG_{_OPTIONS[name]}=y" for name in lost)
    return Fix(f"boot a kernel with {options}", needs_reboot=True)


CHECKS = (unified, controllers)
