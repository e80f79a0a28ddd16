"""Boot: can the boot loader be configured here, do the wanted kernel arguments arrive, what stands against them."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import DROP_INS, OURS, BootLoader, CommandLine, GrubConfig
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.iommu import Iommu
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.boot import arguments, configurable, foreign, only_iommu
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline
from caasctl.syntax.boot_known import OPPOSED, Opposed

_DEFAULT_ARGUMENTS = "GRUB_CMDLINE_LINUX_DEFAULT"
_TWICE = 'the kernel takes the first count of a size and says "hugepagesz=... specified twice, ignoring" of the next'
_NAMES = {
    "grub-plain": "GRUB without drop-ins",
    "bls": "GRUB with BLS entries",
    "": "no boot loader that caasctl knows",
}
_HOW = {
    "bls": 'grubby --update-kernel=ALL --args="{args}"',
    "grub-plain": "append to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub: {args}; then {update}",
    "systemd-boot": "append to the line in /etc/kernel/cmdline: {args}; then kernel-install add $(uname -r) /boot/vmlinuz-$(uname -r)",
    "ostree": "rpm-ostree kargs {kargs}",
    "proxmox-boot": "append to the line in /etc/kernel/cmdline: {args}; then proxmox-boot-tool refresh",
    "extlinux": "append to each `append` line of /boot/extlinux/extlinux.conf: {args}",
    "": "append where this machine's kernel command line is set (hypervisor, network boot, image): {args}",
}


@check(
    "boot.loader_supported",
    "The wanted kernel arguments can be configured, or are",
    reads=(BootLoader, GrubConfig, CommandLine, CgroupLayout, Iommu),
    why="Without its kernel arguments the node keeps cgroup v1 or has no IOMMU, and only the boot loader can bring them.",
    fix="GRUB of Debian and Ubuntu is configured by phase boot. Elsewhere the finding has the command or the edit.",
    source="https://uapi-group.org/specifications/specs/boot_loader_specification/",
    gates=("boot",),
)
def loader_supported(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/default/grub, grub-mkconfig, /boot/loader/entries, the EFI variable LoaderInfo, /proc/cmdline."""
    loader, needed = facts[BootLoader], arguments(facts, profile)
    name = _NAMES.get(loader.kind, loader.kind)
    evidence = tuple(Evidence("boot loader", reason) for reason in loader.reasons)
    entries = facts.get(BootEntries)
    configured = entries.default.tokens if entries and entries.default else facts[CommandLine].tokens
    lost = cmdline.missing(needed, configured)
    grub = facts.get(GrubConfig)
    if loader.kind == "grub":
        bare = "; GRUB_FORCE_PARTUUID: boots without an initramfs first" if grub and grub.initrdless else ""
        yield passed(f"GRUB, {loader.config}{bare}", evidence=evidence)
    elif not lost:
        yield passed(
            f"{name}; {'it has ' + ' '.join(needed) if needed else 'no argument is needed'}", evidence=evidence
        )
    elif loader.kind == "bls" and entries is None:
        yield unknown(f"{name}; its entries could not be read, and this boot lacks {' '.join(lost)}",
                      fix=Fix("run caasctl as root"))  # fmt: skip
    else:
        make = warned if only_iommu(lost, facts, profile) else failed
        yield make(f"{name}; missing: {' '.join(lost)}", wanted=" ".join(needed), fix=_how(loader, lost),
                   fixed_by="boot" if configurable(facts, profile) else "", evidence=evidence)  # fmt: skip


def _how(loader: BootLoader, lost: tuple[str, ...]) -> Fix:
    kargs = " ".join(f"--append-if-missing={argument}" for argument in lost)
    text = _HOW[loader.kind].format(args=" ".join(lost), kargs=kargs, update=" ".join(loader.update))
    kind = FixKind.COMMAND if loader.kind in {"bls", "ostree"} else FixKind.EDIT
    return Fix(text, kind, needs_reboot=True)


@check(
    "boot.cmdline_pending",
    "The running kernel has the wanted arguments",
    reads=(CommandLine, BootLoader, GrubConfig, CgroupLayout, Iommu),
    why="What the boot loader is told takes effect with the next boot: until then the IOMMU, cgroup v2 or hugepages are as before.",
    fix="Reboot when the boot loader has them; otherwise phase boot configures it first.",
    source="https://docs.kernel.org/admin-guide/kernel-parameters.html",
    fixed_by="boot",
    after=("boot.loader_supported",),
)
def cmdline_pending(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/proc/cmdline, the entry of the boot loader that starts next, or else what its configuration will make."""
    needed = arguments(facts, profile)
    running = facts[CommandLine].tokens
    lost = cmdline.missing(needed, running)
    if not lost:
        yield passed(" ".join(needed) or "none is wanted")
        return
    on_anyway = lost == ("intel_iommu=on",) and bool(facts[Iommu].units)
    make = warned if on_anyway or only_iommu(lost, facts, profile) else failed
    fixed_by = "boot" if configurable(facts, profile) else ""
    entries, grub = facts.get(BootEntries), facts.get(GrubConfig)
    following = entries.default.tokens if entries and entries.default else grub.tokens if grub else ()
    still_lost = cmdline.missing(needed, following)
    if still_lost and not fixed_by:
        return  # boot.loader_supported says what to do
    if still_lost:
        yield make(f"missing now: {' '.join(lost)}; in the next boot too" + f": {' '.join(still_lost)}" * (still_lost != lost), wanted=" ".join(needed),
                   fix=Fix("caasctl init-node", needs_reboot=True))  # fmt: skip
        return
    kernel = entries.default.kernel if entries and entries.default else ""
    by = (
        f", by the menu entry {entries.default.title!r}"
        if entries and entries.default and not entries.default.normal
        else ""
    )
    yield make(f"missing now: {' '.join(lost)}; the next boot has them{by}", wanted=" ".join(needed),
               cause=_other_entry(facts[CommandLine], kernel), fix=Fix("systemctl reboot"), fixed_by=fixed_by)  # fmt: skip


def _other_entry(running: CommandLine, kernel: str) -> str:
    """Why a reboot may already have gone past the arguments: another kernel was started than the default entry's."""
    started = cmdline.effective(running.tokens, "BOOT_IMAGE") or ""
    if started and kernel and started.rpartition("/")[2] != kernel.rpartition("/")[2]:
        return (
            f"this boot started {started}, the default entry starts {kernel}: another entry was chosen, or it is newer"
        )
    return ""


@check(
    "boot.cmdline_conflict",
    "No kernel argument stands against the node",
    reads=(CommandLine, BootLoader, GrubConfig, CgroupLayout, Iommu),
    why="The argument turns off what a pod or a guest needs.",
    fix="Take the argument out where the finding says, run update-grub, reboot.",
    source="https://docs.kernel.org/admin-guide/kernel-parameters.html",
    gates=("boot",),
)
def cmdline_conflict(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/default/grub and its drop-ins, the entry that starts next, /proc/cmdline."""
    places, configured, running = _configured(facts), _next(facts), facts[CommandLine].tokens
    needed, count = arguments(facts, profile), 0
    for rule in OPPOSED:
        token = _opposing(configured, rule) or _opposing(running, rule)
        if token and not (rule.about == "iommu" and profile.spec.boot.iommu == "off"):
            count += 1
            yield _conflict(facts, profile, rule, token, places.get(token.text, ""), instead=rule.instead in needed)
    for finding in (*_cut_off(facts), *_twice(configured, places), *_resized(facts, needed)):
        count += 1
        yield finding
    grub = facts.get(GrubConfig)
    if grub and grub.doubts and not facts.get(BootEntries) and facts[BootLoader].kind.startswith("grub"):
        doubts = ", ".join(map(str, grub.doubts))
        yield unknown(f"{doubts}: more than assignments, so what they add is not known", fix=Fix("run caasctl as root"))
    elif not count:
        yield passed("none")


def _cut_off(facts: Facts) -> Iterator[Finding]:
    grub = facts.get(GrubConfig) if facts[BootLoader].kind == "grub" else None
    for argument in grub.foreign if grub else ():
        if argument.text == "--":
            fix = Fix(f"take `--` out of {argument.where}", FixKind.EDIT, needs_reboot=True)
            yield failed(f"`--` in {argument.where}", wanted="no `--`", fix=fix, subject="--",
                         cause="what follows `--` goes to init and not to the kernel, ours too")  # fmt: skip


def _twice(configured: tuple[cmdline.Token, ...], places: dict[str, str]) -> Iterator[Finding]:
    for token in cmdline.doubled_sizes(configured):
        where = places.get(token.text, "the boot loader's entry")
        fix = Fix(f"keep one {token.text} and the hugepages= behind it; {where} has the other", FixKind.EDIT, True)
        yield failed(
            f"{token.text} twice, again in {where}", wanted="each size once", fix=fix, subject=token.text, cause=_TWICE
        )


def _resized(facts: Facts, needed: tuple[str, ...]) -> Iterator[Finding]:
    """The profile wants another count of a size that somebody else's file has set: appending a second one has no effect."""
    if facts[BootLoader].kind != "grub":
        return
    there = cmdline.hugepages(foreign(facts))
    for size, count in cmdline.hugepages(cmdline.of_words(needed)).items():
        if there.get(size, count) != count:
            token = f"hugepages={there[size]}"
            where = next((a.where for a in facts[GrubConfig].foreign if a.text == token), "/etc/default/grub")
            fix = Fix(f"remove {token} and its hugepagesz= from {where}, or set spec.boot.hugepages.count={there[size]}",
                      FixKind.EDIT, needs_reboot=True)  # fmt: skip
            yield failed(f"{token} in {where}", wanted=f"hugepages={count}", fix=fix, subject=token, cause=_TWICE)


def _opposing(have: tuple[cmdline.Token, ...], rule: Opposed) -> cmdline.Token | None:
    name = rule.name.replace("-", "_")
    if rule.item in {"true", "false"}:
        last = next((token for token in reversed(have) if token.name == name), None)
        return last if last and cmdline.truth(last.value or "") is (rule.item == "true") else None
    if not rule.item:
        return next((token for token in have if token.name == name), None)
    return cmdline.in_force(have, name, rule.item)


def _configured(facts: Facts) -> dict[str, str]:
    """Argument -> file and line, or the entry's place."""
    grub, entries = facts.get(GrubConfig), facts.get(BootEntries)
    if grub and facts[BootLoader].kind in {"grub", "grub-plain"}:
        return {argument.text: argument.where for argument in grub.arguments}
    return {token.text: entries.source for token in entries.default.tokens} if entries and entries.default else {}


def _next(facts: Facts) -> tuple[cmdline.Token, ...]:
    grub, entries = facts.get(GrubConfig), facts.get(BootEntries)
    generated = bool(entries and entries.default)
    if grub and facts[BootLoader].kind in {"grub", "grub-plain"} and not (grub.doubts and generated):
        return grub.tokens
    return entries.default.tokens if entries and entries.default else ()


def _conflict(
    facts: Facts, profile: NodeProfile, rule: Opposed, token: cmdline.Token, where: str, *, instead: bool
) -> Finding:
    functions = facts.get(PciFunctions)
    passing = profile.spec.boot.iommu == "required" or bool(functions and functions.selected(profile.spec.gpu))
    make = failed if rule.about == "cgroup" or (rule.about == "iommu" and passing) else warned
    found = f"{token.text} in {where or '/proc/cmdline only: the next boot is without it'}"
    if not where:
        return make(found, wanted=f"no {token.text}", subject=token.text, cause=rule.why, fixed_by="",
                    fix=Fix("systemctl reboot"))  # fmt: skip
    if instead:
        found += f"; phase boot appends {rule.instead}, which overrides it"
    update = " ".join(facts[BootLoader].update)
    fix = Fix(
        f"take {token.text} out of {where}" + (f", then {update}" if update else ""), FixKind.EDIT, needs_reboot=True
    )
    return make(found, wanted=rule.instead or f"no {token.text}", subject=token.text, cause=rule.why, fix=fix,
                fixed_by="boot" if instead else "")  # fmt: skip


@check(
    "boot.drop_in_wins",
    "No file throws away what our GRUB drop-in appends",
    reads=(BootLoader, GrubConfig, CgroupLayout, Iommu),
    why="grub-mkconfig sources the drop-ins in C order; a plain assignment after ours drops our arguments without a word.",
    fix="Make the later file append to the variable, or give it a name that sorts before zz-caasctl.cfg.",
    source="Debian grub2, /usr/sbin/grub-mkconfig",
    gates=("boot",),
)
def drop_in_wins(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/etc/default/grub.d/*.cfg that sort after zz-caasctl.cfg."""
    grub = facts[GrubConfig]
    if facts[BootLoader].kind != "grub" or not arguments(facts, profile):
        return
    later = [path for path in grub.files if path > OURS and path.startswith(DROP_INS)]
    made = [a for a in grub.evaluation.assignments if a.name == _DEFAULT_ARGUMENTS and a.origin.path in later]
    plain = [a for a in made if not a.appends]
    for assignment in plain[-1:]:
        append = f'{_DEFAULT_ARGUMENTS}="${_DEFAULT_ARGUMENTS} ..."'
        yield failed(f"{assignment.origin} assigns {_DEFAULT_ARGUMENTS} anew", wanted="it appends", subject=assignment.origin.path,
                     fix=Fix(f"in {assignment.origin} write {append}", FixKind.EDIT))  # fmt: skip
    if not plain:
        yield passed(f"{len(later)} files after it, none assigns anew" if later else "it is the last one")


CHECKS = (loader_supported, cmdline_pending, cmdline_conflict, drop_in_wins)
