"""GRUB's configuration files: sh must be able to read each, or no kernel can be upgraded any more."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.boot import BootLoader, GrubConfig
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile

_EXCERPT = 60


@check(
    "boot.grub_config_parses",
    "GRUB's configuration files can be read by sh",
    reads=(GrubConfig, BootLoader),
    why="grub-mkconfig sources every one of them with `set -e`: one that sh cannot read stops update-grub, and with it every "
    'kernel upgrade ("run-parts: /etc/kernel/postinst.d/zz-update-grub exited with return code 2").',
    fix="Mend the line that the finding names; `sh -n FILE` says when it is right.",
    source="Debian grub2, /usr/sbin/grub-mkconfig",
    gates=("boot",),
)
def grub_config_parses(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/etc/default/grub and /etc/default/grub.d/*.cfg, in C order."""
    grub = facts[GrubConfig]
    if not facts[BootLoader].kind.startswith("grub"):
        return
    for broken in grub.evaluation.broken:
        yield failed(f"{broken.origin}: {broken.text}", wanted="text that sh can read", subject=broken.origin.path,
                     fix=Fix(f"mend {broken.origin}; `sh -n {broken.origin.path}` must say nothing", FixKind.EDIT))  # fmt: skip
    for path in grub.carriage_returns:
        yield failed(f"{path} has DOS line ends", wanted="lines that end in LF", subject=path,
                     cause='sh takes the carriage return as part of the value or as a command ("\\r: not found")',
                     fix=Fix(f"sed -i 's/\\r$//' {path}"))  # fmt: skip
    if not grub.evaluation.broken and not grub.carriage_returns:
        odd = [Evidence(str(place.origin), place.text[:_EXCERPT]) for place in grub.evaluation.odd]
        said = f"; {len(odd)} statements are more than assignments" if odd else ""
        yield passed(f"{len(grub.files)} files{said}", evidence=tuple(odd))


CHECKS = (grub_config_parses,)
