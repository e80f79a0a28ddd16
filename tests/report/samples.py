"""Reports put together from literal findings, phases and changes: a host that needs work, its plan, its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from caasctl.model import Evidence, Exit, Finding, Fix, FixKind, Level, Report, Waiver, failed, passed, unknown, warned
from caasctl.protocol import (
    IN_EFFECT,
    Absent,
    Change,
    Done,
    Known,
    Outcome,
    PhaseReport,
    PhaseStatus,
    Reader,
    State,
    Undo,
    Unknown,
    Writer,
)
from caasctl.resources.files import File, Transaction

CMDLINE = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT systemd.unified_cgroup_hierarchy=1 intel_iommu=on"\n'
OLD_TOML = """\
version = 2
# our registry, do not touch
disabled_plugins = ["cri"]
root = "/data/containerd"

[debug]
  level = "info"

[metrics]
  address = ""
"""
NEW_TOML = OLD_TOML.replace('["cri"]', "[]").replace('"info"', '"warn"')


@dataclass(frozen=True)
class Value:
    """A resource that is one value, as a live sysctl or a unit."""

    name: str
    wanted: str
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    nothing: str = ""

    def look(self, host: Reader) -> State:
        return Absent()

    def target(self, now: State) -> State:
        return Known(self.wanted)

    def apply(self, host: Writer, now: State) -> Outcome:
        return Done()

    def undo(self, now: State) -> Undo:
        was = now.text if isinstance(now, Known) else ""
        return Undo(nothing=self.nothing) if self.nothing else Undo(commands=(("set", self.name, was),))


@dataclass(frozen=True)
class Restart:
    """What a transaction of containerd would do, by name only."""

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        return Known(IN_EFFECT)

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Nothing to judge."""

    def activate(self, host: Writer) -> None:
        """Nothing to restart."""

    def prove(self, host: Writer) -> None:
        """Nothing to prove."""

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (("systemctl", "restart", "containerd"),)


def named(finding: Finding, name: str, title: str, **more: object) -> Finding:
    """As the engine completes it."""
    filled = replace(finding, id=name, title=title, topic=name.partition(".")[0])
    return replace(filled, **more)  # type: ignore[arg-type]


FINDINGS = (
    named(passed("Ubuntu 22.04.5 LTS"), "os.supported", "The distribution is one that is tested"),
    named(passed("6.8.0-45-generic"), "os.kernel_minimum", "The kernel is new enough"),
    named(passed("1024 GiB"), "os.memory", "There is memory for a node"),
    named(passed("128"), "os.cpus", "There are two processors or more"),
    named(
        warned("8.0 GiB on /swap.img", wanted="no swap", fix=Fix("swapoff -a"), cause="The kubelet does not start: "
               "`running with swap on is not supported, please disable swap`.", fixed_by="host"),
        "os.swap", "Swap is off"),
    named(
        warned("NTPSynchronized=no", wanted="a synchronized clock", cause="Certificates are not yet valid: `x509: certificate "
               "has expired or is not yet valid`.", fix=Fix("systemctl enable --now systemd-timesyncd")),
        "os.time_sync", "The clock is synchronized"),
    named(
        failed("hybrid: v2 is mounted at /sys/fs/cgroup/unified only", wanted="cgroup2fs on /sys/fs/cgroup",
               cause="Pods of a kubelet with the systemd driver fail with `expected cgroupsPath to be of format "
               '"slice:prefix:name"`, long after kubeadm has said that all is well.',
               fix=Fix("systemd.unified_cgroup_hierarchy=1", FixKind.EDIT, needs_reboot=True), fixed_by="boot",
               evidence=(Evidence("/proc/self/mounts", "tmpfs /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec 0 0"),)),
        "cgroup.unified", "Control groups are version 2 only"),
    named(
        failed("0 groups", wanted="a group for each device", cause="vfio-pci answers `write error: Invalid argument`.",
               fix=Fix("intel_iommu=on", FixKind.EDIT, needs_reboot=True), fixed_by="boot"),
        "iommu.enabled", "The IOMMU is on"),
    named(passed("DMAR table with 8 remapping units"), "iommu.firmware", "The firmware describes an IOMMU"),
    *(named(Finding(Level.SKIPPED, "", blocked_by=("iommu.enabled",)), f"iommu.{slug}", "A claim")
      for slug in ("group_viable", "interrupt_remapping")),
    *(named(failed("BAR 1 has 256 MiB", wanted="128 GiB", subject=address, cause="The guest's driver stops with `NVRM: "
                   "This PCI I/O region assigned to your NVIDIA device is invalid`.", fixed_by="",
                   fix=Fix('enable "Above 4G Decoding" (PCIe/PCI/PnP menu)', FixKind.FIRMWARE, needs_reboot=True)),
            "gpu.bar_size", "Each GPU has its whole memory mapped") for address in ("0000:17:00.0", "0000:31:00.0")),
    named(
        failed("switched off by disabled_plugins in /etc/containerd/config.toml", wanted="the CRI plugin on", fixed_by="containerd",
               cause="kubeadm stops with `rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService`.",
               fix=Fix("caasctl init-node"), evidence=(Evidence("/etc/containerd/config.toml:3", 'disabled_plugins = ["cri"]'),)),
        "containerd.cri_enabled", "containerd offers the CRI"),
    named(
        failed("not installed", wanted="runc 1.1 or later", cause='Every container ends with `exec: "runc": executable file '
               "not found in $PATH`.", fixed_by="", fix=Fix(
                   "apt-get update && apt-get install --no-install-recommends --yes runc=1.1.12-0ubuntu2~22.04.1 containerd")),
        "containerd.runc_installed", "runc is installed"),
    named(unknown("/dev/kvm: permission denied (needs root)"), "kata.kvm", "KVM can be used"),
    named(unknown("/dev/kvm: permission denied (needs root)"), "kata.vhost", "vhost can be used"),
    named(
        Finding(Level.WAIVED, "1500 and 9000", "one MTU", waiver=Waiver(
            "network.mtu", "storage network, never carries pods", "netops", "2027-03-01")),
        "network.mtu", "Interfaces agree on the MTU", cause="Large packets are lost without a word."),
)  # fmt: skip

PREFLIGHT = Report(
    "preflight", "gpu-single-node", "gpu-160", "2026-11-23T02:11:07Z", 412, Exit.FAILED_CHECK, FINDINGS[::-1],
    notes=("looked at as user ubuntu; root sees more",),
)  # fmt: skip

MODULES = File("/etc/modules-load.d/caasctl.conf", "br_netfilter\noverlay\nvhost_vsock\n")
GRUB = File("/etc/default/grub.d/zz-caasctl.cfg", f"# by caasctl\n{CMDLINE}", reboots=True)
TOKEN = File("/etc/caasctl/token", "abcdef.0123456789abcdef\n", mode=0o600, secret=True)
CRI = File("/etc/containerd/config.toml", NEW_TOML)
CRICTL = File("/etc/crictl.yaml", "runtime-endpoint: unix:///run/containerd/containerd.sock\n")
CONTAINERD = Transaction("containerd", (CRI, TOKEN), Restart())


def change(phase: str, resource: File | Value, before: State, because: tuple[str, ...] = (), why: str = "") -> Change:
    return Change(phase, resource, before, resource.target(before), because, why)


HOST_CHANGES = (
    change("host", MODULES, Absent()),
    change("host", Value("module:vhost_vsock", "loaded"), Known("not loaded"), (MODULES.name,)),
    change("host", Value("sysctl:net.ipv4.ip_forward", "1"), Known("0")),
    change("host", Value("swap:/swap.img", "off and masked"), Known("on, 8.0 GiB")),
)
BOOT_CHANGES = (
    change("boot", GRUB, Known("# by caasctl\n", 0o600)),
    change("boot", Value("grub:/boot/grub/grub.cfg", "as the files say"), Known("as the files say"), (GRUB.name,)),
    change("boot", Value("cmdline:running", "intel_iommu=on", reboots=True, nothing="the next boot shows it"),
           Known("quiet")),
)  # fmt: skip
TOGETHER = Known(IN_EFFECT, parts=((CRI.path, Known(OLD_TOML, 0o644)), (TOKEN.path, Known("old.secret\n", 0o644))))
CONTAINERD_CHANGES = (
    Change("containerd", CONTAINERD, TOGETHER, CONTAINERD.target(TOGETHER),
           provisional="phase boot changes how control groups are mounted"),
    change("containerd", CRICTL, Unknown("/etc/crictl.yaml: permission denied (needs root)")),
    Change("containerd", Value("unit:containerd", "active"), Known("active"), Known("active"), (CRI.name,)),
)  # fmt: skip
SWAP = tuple(finding for finding in FINDINGS if finding.id == "os.swap")
FIRST = PhaseReport("host", "Modules, sysctls and swap", PhaseStatus.PLANNED, HOST_CHANGES, SWAP, duration_ms=120)
SECOND = PhaseReport("boot", "Kernel command line", PhaseStatus.PLANNED, BOOT_CHANGES, needs_reboot=True)
THIRD = PhaseReport("containerd", "containerd and its handlers", PhaseStatus.PROVISIONAL, CONTAINERD_CHANGES)
PLAN = Report("init-node --dry-run", "single-node", "gpu-160", "2026-11-23T02:12:00Z", 690, Exit.REBOOT,
              phases=(FIRST, SECOND, THIRD))  # fmt: skip
RUN = replace(
    PLAN,
    command="init-node",
    exit_code=Exit.FAILED_CHANGE,
    duration_ms=63_400,
    phases=(
        replace(FIRST, status=PhaseStatus.CHANGED, duration_ms=820),
        replace(SECOND, status=PhaseStatus.UNCHANGED, changes=(), needs_reboot=False),
        replace(THIRD, status=PhaseStatus.FAILED, duration_ms=62_000,
                message="containerd: CRI plugin failed to load; /etc/containerd/config.toml is as before and in effect again",
                fix="journalctl -u containerd -n 50"),
    ),
)  # fmt: skip
BLOCKED = replace(
    PLAN,
    exit_code=Exit.FAILED_CHECK,
    findings=FINDINGS,
    phases=(replace(FIRST, status=PhaseStatus.BLOCKED, changes=(), message="os.supported fails",
                    findings=tuple(f for f in FINDINGS if f.id == "gpu.bar_size")), SECOND),
)  # fmt: skip
CONVERGED = replace(
    PLAN, exit_code=Exit.OK,
    phases=tuple(replace(p, status=PhaseStatus.UNCHANGED, changes=(), findings=(), needs_reboot=False) for p in PLAN.phases),
)  # fmt: skip
EVERY = {"preflight": PREFLIGHT, "plan": PLAN, "run": RUN, "blocked": BLOCKED, "converged": CONVERGED}
