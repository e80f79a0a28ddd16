"""Do modules, kernel settings and swap stand as a node needs them, now and after the next boot?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from caasctl.facts.os import Cpu, Kernel, Memory, Modules, OsRelease
from caasctl.facts.os_swap import Swap
from caasctl.facts.os_sysctl import SysctlConfig, SysctlLive
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.network import auto_ipv6
from caasctl.profile import NodeProfile
from caasctl.syntax import needs, swap, sysctl
from caasctl.syntax.sysctl import Setting

_OURS = "zz-caasctl.conf"
_OWN_CHECKS = ("net.ipv4.ip_forward", "fs.inotify.max_user_instances", "fs.inotify.max_user_watches")
_NOW = (
    "The values that the kernel has now: with protectKernelDefaults the kubelet stops with"
    " `invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0`."
)
_LIVE = "The values that the kernel has now; the kubelet sets its own when it starts, as long as protectKernelDefaults is false."
_SORTED = f"It is read after {_OURS} and wins at the next boot."
_BY_UFW = "ufw sets it whenever the firewall starts, after everything in sysctl.d."
_STOPS = ("ip_forward", ".forwarding")  # kubeadm and pods' packets stop at these; the rest costs something later
_INOTIFY = ("fs.inotify.max_user_instances", "fs.inotify.max_user_watches")


@check(
    "os.swap",
    "Swap is off and stays off",
    reads=(Swap, Memory),
    why="The kubelet does not start: `running with swap on is not supported, please disable swap`.",
    fix="Turn swap off and mask its units, or let the kubelet run with it: spec.kubernetes.kubelet.failSwapOn: false.",
    source="kubelet failSwapOn; KEP-2400",
    fixed_by="host",
    gates=("host",),
)
def swap_off(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/swaps, /etc/fstab, systemd's swap units, zram and swap-file services; MemAvailable for what is swapped out."""
    found = facts[Swap]
    returning = [unit for unit in found.units if unit.returns]
    if needs.keeps_swap(profile):
        yield passed("left alone: the profile sets failSwapOn: false")
    elif found.active:
        yield _active(found, facts[Memory])
    elif returning:
        sources = ", ".join(unit.source for unit in returning)
        cause = "Swap is off now, but comes back with the next boot, and then the kubelet does not start."
        fix = Fix(f"systemctl mask {' '.join(shlex.quote(unit.name) for unit in returning)}")
        yield failed(f"off, but turned on at boot by {sources}", wanted="off at boot too", cause=cause, fix=fix)
    else:
        masked = [unit.source for unit in found.units if unit.masked]
        yield passed(f"off ({', '.join(masked)}: masked)" if masked else "off")


def _active(found: Swap, memory: Memory) -> Finding:
    areas = ", ".join(
        f"{area.path} ({area.used_kib // 1024} of {area.size_kib // 1024} MiB used)" for area in found.active
    )
    spare = swap.spare_kib(found.used_kib, memory.available_kib)
    if spare >= 0:
        return failed(areas, wanted="off", fix=Fix("swapoff -a"))
    short = -spare // 1024 + 1
    cause = (
        f"{memory.available_kib // 1024} MiB of memory are available: reading {found.used_kib // 1024} MiB of swap back"
        " would make the kernel kill processes. init-node does not do that."
    )
    fix = Fix(f"free {short} MiB of memory (`ps aux --sort=-rss | head`), then run caasctl again", FixKind.WAIT)
    return failed(areas, wanted="off", cause=cause, fix=fix, fixed_by="")


@check(
    "os.inotify",
    "There are inotify watches for every container",
    reads=(SysctlLive,),
    why="Kubelet and containerd run out of them: `failed to create fsnotify watcher: too many open files`.",
    fix="Raise fs.inotify.max_user_instances to 8192 and max_user_watches to 524288.",
    source="containerd/containerd 10308, 10468",
    fixed_by="host",
)
def inotify(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/sys/fs/inotify/max_user_instances and max_user_watches."""
    wanted = {key: need for key, need in needs.sysctls(profile, ipv6=False).items() if key in _INOTIFY}
    values = {key: facts[SysctlLive].values.get(key) for key in wanted}
    low = {key: value for key, value in values.items() if value is not None and not needs.met(wanted[key], value)}
    if low:
        fix = Fix("sysctl -w " + " ".join(f"{key}={wanted[key].value}" for key in low))
        yield warned(_listed(low), wanted=_listed({key: f"{wanted[key].value} or more" for key in low}), fix=fix)
    else:
        yield passed(_listed(values))


def _listed(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in values.items())


@check(
    "os.modules",
    "Kernel modules for containers, bridges and Kata are loaded",
    reads=(Modules, Cpu, Kernel),
    why="overlay carries images, br_netfilter bridged traffic, vhost_vsock Kata's agent: `stat /dev/vhost-vsock: no such file`.",
    fix="Load them, and name them in /etc/modules-load.d.",
    source="containerd and Kata host requirements",
    fixed_by="host",
    gates=("host",),
    after=("os.kernel_stale", "os.kernel_config"),
)
def modules(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/modules, /sys/module, modules.builtin and modules.dep of the running kernel."""
    found = facts[Modules]
    wanted = needs.modules(facts[Cpu].flags, profile)
    missing = [name for name in wanted if name not in found.loaded | found.builtin]
    loadable = [name for name in missing if name in found.available]
    gone = [name for name in missing if name not in found.available]
    if loadable:
        yield failed(
            f"not loaded: {', '.join(loadable)}", wanted="loaded", fix=Fix(f"modprobe -a {' '.join(loadable)}")
        )
    if gone:
        yield _not_there(gone, facts)
    if not missing:
        yield passed(", ".join(wanted))


def _not_there(gone: list[str], facts: Facts) -> Finding:
    release, folder = facts[Kernel].release, facts[Modules].folder
    said = f"{', '.join(gone)} not in {folder or f'/lib/modules/{release} (not there)'}"
    cause = f"`modprobe: FATAL: Module {gone[0]} not found in directory /lib/modules/{release}`."
    return failed(said, wanted="modules of the running kernel", cause=cause, fix=_package(release, facts), fixed_by="")


def _package(release: str, facts: Facts) -> Fix:
    found = facts.get(OsRelease)
    if (
        found
        and found.id == "ubuntu"
        and release.rpartition("-")[2] in ("generic", "aws", "azure", "gcp", "oracle", "kvm")
    ):
        return Fix(f"apt-get install -y linux-modules-extra-{release}")
    if found and (found.id == "fedora" or {"rhel", "fedora"}.intersection((found.id, *found.id_like))):
        return Fix(f"dnf install -y kernel-modules-{release} kernel-modules-extra-{release}")
    if found and found.id == "debian":
        return Fix("apt-get install -y linux-image-$(dpkg --print-architecture)", needs_reboot=True)
    return Fix(f"install a kernel that has them: {release} was built without", FixKind.WAIT, needs_reboot=True)


@check(
    "os.sysctl_overridden",
    "Kernel settings hold, now and after the next boot",
    reads=(SysctlConfig, SysctlLive),
    why="A file that sysctl reads later wins: after a boot kubeadm says `ip_forward contents are not set to 1`, or, with"
    " protectKernelDefaults, the kubelet `invalid kernel flag`.",
    fix="Remove the line that the finding names, then run `caasctl init-node` again.",
    source="sysctl.d(5): files in order of their names, the last assignment wins",
    fixed_by="host",
    gates=("kubeadm",),
)
def sysctl_overridden(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """sysctl.d of /etc, /run, /usr/local/lib and /usr/lib in systemd's order, /etc/sysctl.conf, ufw's, and /proc/sys."""
    config, live = facts[SysctlConfig], facts[SysctlLive]
    wanted = needs.sysctls(profile, ipv6=live.ipv6, pods_ipv6=auto_ipv6(facts, profile))
    later = [setting for setting in config.settings if not setting.ours and _name(setting) > _OURS]
    found = [
        _wins_later(setting, wanted[key].value, cause, stops=_insists(profile) or key.endswith(_STOPS))
        for settings, cause in ((later, _SORTED), (config.ufw, _BY_UFW))
        for key, setting in _against(settings, wanted)
    ]
    found += [_wins_by_hand(setting, wanted[key].value) for key, setting in _against(config.late, wanted)]
    off = {
        key: live.values[key]
        for key, need in wanted.items()
        if key not in _OWN_CHECKS and live.values.get(key) is not None and not needs.met(need, live.values[key])
    }
    yield from found
    if off:
        said = ", ".join(f"{key}={value}" for key, value in off.items())
        right = [f"{key}={wanted[key].value}" for key in off]
        stops = _insists(profile) or any(key.endswith(_STOPS) for key in off)
        make, cause = (failed, _NOW) if stops else (warned, _LIVE)
        yield make(said, subject="now", wanted=", ".join(right), cause=cause, fix=Fix(f"sysctl -w {' '.join(right)}"))
    if not found and not off:
        yield passed(f"{len(wanted)} settings", evidence=_outvoted(config, wanted))


def _against(settings: Sequence[Setting], wanted: Mapping[str, needs.SysctlNeed]) -> Iterator[tuple[str, Setting]]:
    """The keys that these assignments would set to something else than is needed."""
    for key, need in wanted.items():
        setting = sysctl.winner(settings, key)
        if setting and not needs.met(need, setting.value):
            yield key, setting


def _insists(profile: NodeProfile) -> bool:
    """Whether the kubelet stops where a value is another, instead of setting it."""
    return profile.spec.kubernetes.kubelet.get("protectKernelDefaults") is True


def _wins_later(setting: Setting, value: str, cause: str, *, stops: bool) -> Finding:
    make = failed if stops else warned
    return make(
        f"{setting.path} line {setting.line}: {setting.key} = {setting.value}",
        subject=setting.key,
        wanted=value,
        cause=cause,
        fix=Fix(_comment_out(setting)),
        fixed_by="",
    )


def _wins_by_hand(setting: Setting, value: str) -> Finding:
    return warned(
        f"{setting.path} line {setting.line}: {setting.key} = {setting.value}",
        subject=setting.key,
        wanted=value,
        cause=f"systemd does not read it at boot, but the next `sysctl --system` or `sysctl -p` reads it after {_OURS}.",
        fix=Fix(_comment_out(setting)),
        fixed_by="",
    )


def _outvoted(config: SysctlConfig, wanted: Mapping[str, needs.SysctlNeed]) -> tuple[Evidence, ...]:
    """Foreign lines that say otherwise and lose: whoever wonders why a setting does not hold finds it here."""
    losing = _against([setting for setting in config.settings if not setting.ours], wanted)
    return tuple(Evidence(f"{s.path} line {s.line}", f"{s.key} = {s.value} (overridden by {_OURS})") for _, s in losing)


def _comment_out(setting: Setting) -> str:
    return f"sed -i '{setting.line}s/^/# /' {setting.path}"


def _name(setting: Setting) -> str:
    return setting.path.rpartition("/")[2]


CHECKS = (swap_off, inotify, modules, sysctl_overridden)
