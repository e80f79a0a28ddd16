"""Kernel arguments that do nothing, though guides tell people to add them."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import BootLoader, CommandLine, GrubConfig
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import KernelConfig
from caasctl.model import Facts, Finding, Fix, FixKind, check, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import cmdline
from caasctl.syntax.boot_known import USELESS, Useless


@check(
    "boot.cmdline_useless",
    "Every kernel argument does something",
    reads=(CommandLine,),
    why="An argument without effect makes people believe that something is on.",
    fix="Take it out where the finding says; nothing changes but the belief.",
    source="https://docs.kernel.org/admin-guide/kernel-parameters.html",
)
def cmdline_useless(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/proc/cmdline, and /etc/default/grub with its drop-ins for the place."""
    grub = facts.get(GrubConfig)
    places = {argument.text: argument.where for argument in (grub.foreign if grub else ())}
    tokens = {token.text: token for token in (*facts[CommandLine].tokens, *(grub.foreign_tokens if grub else ()))}
    found = [(token, rule) for token in tokens.values() for rule in _rules(facts) if _meets(token, rule)]
    for token, rule in found:
        where = places.get(token.text, "/proc/cmdline")
        instead = f", {rule.instead}" if rule.instead else ""
        yield warned(f"{token.text} in {where}", wanted=f"no {token.text}", subject=token.text, cause=rule.why,
                     fix=Fix(f"take {token.text} out of {where}{instead}", FixKind.EDIT))  # fmt: skip
    if not found:
        yield passed(f"{len(tokens)} looked at, none is known to do nothing")


def _rules(facts: Facts) -> Iterator[Useless]:
    """Those that hold on this host; where a condition cannot be known, its rule does not count."""
    loader, config, iommu = facts.get(BootLoader), facts.get(KernelConfig), facts.get(Iommu)
    holds = {
        "": True,
        "dracut": bool(loader) and loader.initramfs == "initramfs-tools" if loader else False,
        "efifb": bool(config) and config.options.get("FB_EFI", "n") == "n" if config else False,
    }
    yield from (rule for rule in USELESS if holds[rule.unless])
    if iommu and iommu.tables == ("IVRS",):
        yield Useless("intel_iommu", "on", "the firmware announces an AMD IOMMU, which has no switch for on")


def _meets(token: cmdline.Token, rule: Useless) -> bool:
    if token.name != rule.name:
        return False
    return not rule.item or rule.item in token.items or token.value == rule.item


CHECKS = (cmdline_useless,)
