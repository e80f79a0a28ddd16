"""What to bring next where no cause was found: commands, the most promising first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caasctl.diagnosis import Line, Root
from caasctl.doctor.rules import TEXT
from caasctl.model import Finding, Level

_UNITS = {"kubelet": "kubelet", "containerd": "containerd"}


def collect(findings: Sequence[Finding], lines: Sequence[Line], unexplained: Sequence[Root | Line]) -> tuple[str, ...]:
    """Each a command in backticks and what it brings; () where there is nothing to explain and nothing was denied."""
    denied = any(finding.level is Level.UNKNOWN and "needs root" in finding.found for finding in findings)
    root = ("`sudo caasctl doctor`: much of a node only root may read",) if denied else ()
    return (*root, *(_collect(findings, lines) if unexplained else ()))


def _collect(findings: Sequence[Finding], lines: Sequence[Line]) -> Iterator[str]:
    asked = bool(findings)
    heard = {line.kind for line in lines}
    for kind, unit in _UNITS.items():
        if asked and kind not in heard:
            yield f"`journalctl -u {unit} -b --no-pager | caasctl doctor --here --log -`: nothing of {unit} could be heard"
    if not asked and TEXT in heard:
        yield "`caasctl doctor --here --log FILE` on the node itself: what was pasted says what happened there, the node says why"
    if TEXT not in heard:
        yield "`COMMAND 2>&1 | caasctl doctor --here --log -`: what the command that failed (kubeadm, helm, cilium, ctr) printed stands in no journal"
    yield "`caasctl facts --record host.tar.gz`: the host as it is now, without secrets, for somebody who knows it"
