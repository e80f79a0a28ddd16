"""Hugepages reserved at boot, against the memory that is left for everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from caasctl.facts.boot import BootLoader, CommandLine, GrubConfig, Hugepages, PageSize
from caasctl.facts.kata import KataConfigs
from caasctl.facts.os import Memory
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import handlers, kata_tree
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline

_GIB = 1024**2  # in KiB
_HOST_KIB = 4 * _GIB  # below this the control plane and the host do not fit beside each other
_SIZES = {"2Mi": 2048, "1Gi": _GIB}
_UNITS = {2048: "2 MiB", _GIB: "1 GiB"}


@check(
    "boot.hugepages_budget",
    "Hugepages leave enough memory for the host and for pods",
    reads=(Memory, Hugepages),
    why="Reserved hugepages are taken from the node's allocatable memory whether they are used or not: pods stay Pending with "
    '"Insufficient memory" on a host full of it. Kata\'s guests use them only where its configuration has enable_hugepages.',
    fix="Reserve what guests with enable_hugepages use, no more: spec.boot.hugepages, or the hugepages= argument of the host.",
    source="https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/",
    gates=("boot",),
)
def hugepages_budget(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/sys/kernel/mm/hugepages, /proc/meminfo, hugepages= on /proc/cmdline and in the boot loader's configuration."""
    total, counts = facts[Memory].total_kib, _counts(facts, profile)
    taken = sum(size * count for size, count in counts.items())
    left = total - taken
    said = ", ".join(_said(facts, size, count) for size, count in sorted(counts.items()) if count) or "none reserved"
    found = f"{said}; {_gib(left)} of {_gib(total)} left for pods and the host" if taken else said
    evidence = tuple(Evidence(where, text) for text, where in _places(facts))
    if left < _HOST_KIB and taken:
        yield failed(found, wanted=f"at least {_gib(_HOST_KIB)} left", fix=_fix(facts, profile), evidence=evidence)
    elif taken > total // 2:
        yield warned(found, wanted="no more than half of the memory", fix=_fix(facts, profile), evidence=evidence)
    else:
        yield passed(found, evidence=evidence)


def _counts(facts: Facts, profile: NodeProfile) -> dict[int, int]:
    """Pages by size at their highest: now, after the next boot as configured, and as the profile wants."""
    grub, spec = facts.get(GrubConfig), profile.spec.boot.hugepages
    asked = [(size.size_kib, str(size.total)) for size in facts[Hugepages].sizes]
    asked += cmdline.hugepages(grub.foreign_tokens).items() if grub else ()
    asked += [(_SIZES[spec.size], str(spec.count))]
    counts: dict[int, int] = {}
    for size, count in asked:
        counts[size] = max(counts.get(size, 0), _pages(count))
    return counts


def _pages(count: str) -> int:
    """Of `906`, or of `0:256,1:256`, which counts by NUMA node."""
    numbers = [part.rpartition(":")[2] for part in count.split(",")]
    return sum(int(number) for number in numbers if number.isdecimal())


def _said(facts: Facts, size_kib: int, count: int) -> str:
    live = next((size for size in facts[Hugepages].sizes if size.size_kib == size_kib), None)
    now = f"{live.free} of {live.total} free now" if live and live.total else "none of them yet"
    return f"{count} x {_UNITS.get(size_kib, f'{size_kib} KiB')} ({now})"


def _gib(kib: int) -> str:
    return f"{kib / _GIB:.0f} GiB" if abs(kib) >= 10 * _GIB else f"{kib / _GIB:.1f} GiB"


def _places(facts: Facts) -> Iterator[tuple[str, str]]:
    grub, running = facts.get(GrubConfig), facts.get(CommandLine)
    for argument in grub.foreign if grub else ():
        if argument.token.name == "hugepages":
            yield argument.text, argument.where
    for token in running.tokens if running else ():
        if token.name == "hugepages":
            yield token.text, "/proc/cmdline"


def _fix(facts: Facts, profile: NodeProfile) -> Fix:
    text, where = next(_places(facts), ("", ""))
    if text and profile.spec.boot.hugepages.count == 0:
        loader = facts.get(BootLoader)
        update = f", then {' '.join(loader.update)}" if loader and loader.update else ""
        return Fix(f"lower or remove {text} in {where}{update}", FixKind.EDIT, needs_reboot=True)
    if profile.spec.boot.hugepages.count:
        return Fix("lower spec.boot.hugepages.count", FixKind.EDIT)
    return Fix("sysctl -w vm.nr_hugepages=0   # and take it out of /etc/sysctl.d if it is there")


@check(
    "boot.hugepages_reserved",
    "The kernel reserved as many hugepages as its command line asks for",
    reads=(CommandLine, Hugepages),
    why="Where memory is short or in pieces the kernel reserves fewer and only logs it; guests then fail to start with "
    '"cannot allocate memory".',
    fix="Ask for fewer, or free memory before they are reserved: other arguments and large initramfs images compete.",
    source="https://docs.kernel.org/admin-guide/mm/hugetlbpage.html",
)
def hugepages_reserved(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """hugepages= on /proc/cmdline, /sys/kernel/mm/hugepages and its counts by NUMA node."""
    live = {size.size_kib: size for size in facts[Hugepages].sizes}
    for size_kib, count in cmdline.hugepages(facts[CommandLine].tokens).items():
        there = live[size_kib].total if size_kib in live else 0
        nodes = live[size_kib].nodes if size_kib in live else {}
        by_node = ", ".join(f"node {node}: {pages}" for node, pages in sorted(nodes.items()))
        found = (
            f"{there} of {_pages(count)} pages of {_UNITS.get(size_kib, f'{size_kib} KiB')}"
            + f" ({by_node})" * bool(nodes)
        )
        if there >= _pages(count):
            yield passed(found, subject=f"{size_kib} KiB")
        else:
            make = failed if profile.spec.boot.hugepages.count else warned  # somebody else's shortfall stops no node
            yield make(found, wanted=count, subject=f"{size_kib} KiB",
                       fix=Fix(f"lower hugepages={count} to {there} or fewer", FixKind.EDIT, needs_reboot=True))  # fmt: skip


@check(
    "boot.hugepages_per_node",
    "Hugepages lie where guests need them, and guests use them",
    reads=(Hugepages,),
    why="A guest beside its GPU takes memory of that NUMA node: where all pages lie on another, its memory is across the socket, or"
    ' it fails with "cannot allocate memory". Pages that no handler takes are lost to pods all the same.',
    fix="Ask per node, hugepages=0:256,1:256; enable_hugepages = true in the handlers that are to use them, or reserve none.",
    source="https://docs.kernel.org/admin-guide/mm/hugetlbpage.html; kata-containers: configuration-qemu.toml, enable_hugepages",
)
def hugepages_per_node(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """nr_hugepages by NUMA node, hugepages= on /proc/cmdline, enable_hugepages of Kata's configurations, /proc/meminfo."""
    running = facts.get(CommandLine)
    asked = cmdline.hugepages(running.tokens) if running else {}
    for size in facts[Hugepages].sizes:
        wanted = _by_node(asked.get(size.size_kib, ""))
        if size.total or wanted:
            yield _on_nodes(size, wanted, profile)
    yield from _unused(facts, profile)


def _by_node(count: str) -> dict[int, int]:
    """{0: 256, 1: 256} of 0:256,1:256; {} of a number for the whole host."""
    pairs = (part.partition(":") for part in count.split(",") if ":" in part)
    return {int(node): int(pages) for node, _, pages in pairs if node.isdecimal() and pages.isdecimal()}


def _on_nodes(size: PageSize, wanted: Mapping[int, int], profile: NodeProfile) -> Finding:
    unit = _UNITS.get(size.size_kib, f"{size.size_kib} KiB")
    found = ", ".join(f"node {node}: {pages}" for node, pages in sorted(size.nodes.items())) or f"{size.total} pages"
    short = [node for node, pages in wanted.items() if size.nodes.get(node, 0) < pages]
    empty = [node for node, pages in size.nodes.items() if not pages]
    even = ",".join(f"{node}:{size.total // max(len(size.nodes), 1)}" for node in sorted(size.nodes))
    if short:
        make = failed if profile.spec.boot.hugepages.count else warned
        asked = ",".join(f"{node}:{pages}" for node, pages in sorted(wanted.items()))
        return make(found, wanted=f"hugepages={asked}", subject=unit,
                    fix=Fix(f"ask for fewer on node {short[0]}: hugepages= on the kernel command line", FixKind.EDIT, needs_reboot=True))  # fmt: skip
    if empty and size.total:
        return warned(found, wanted="some on each node", subject=unit,
                      fix=Fix(f"hugepages={even} on the kernel command line, where guests run on every node", FixKind.EDIT, needs_reboot=True))  # fmt: skip
    return passed(found, subject=unit)


def _unused(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Only where every handler's configuration is known to leave them alone."""
    configs, tree, memory = facts.get(KataConfigs), kata_tree(facts, profile), facts.get(Memory)
    names = handlers(facts, profile)
    found = [configs.in_effect(name, tree) if configs else None for name in names]
    taken = sum(size.size_kib * size.total for size in facts[Hugepages].sizes)
    if not taken or not names or any(config is None or config.hugepages for config in found):
        return
    left = f"; {_gib(memory.total_kib - taken)} of {_gib(memory.total_kib)} left for pods and guests" if memory else ""
    yield warned(f"{_gib(taken)} in hugepages, which no Kata handler takes{left}", wanted="none, or enable_hugepages = true", subject="Kata",
                 fix=Fix("spec.boot.hugepages.count: 0, and no hugepages= of others; guests keep their memory in /dev/shm then", FixKind.EDIT),
                 cause="Guests of QEMU take /dev/shm unless their configuration has enable_hugepages: kata.shm says how much that is.")  # fmt: skip


CHECKS = (hugepages_budget, hugepages_reserved, hugepages_per_node)
