"""What `caasctl airgap` does: the list for a host, and the folder for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace

from caasctl.airgap.packing import Packing
from caasctl.airgap.wanted import Item, Target, items, of_kubeadm
from caasctl.airgapped import target_of
from caasctl.commands import Session
from caasctl.facts.kata_host import of_dpkg
from caasctl.faults import is_root
from caasctl.host import LiveHost
from caasctl.host.disk import SUFFIX
from caasctl.model import CaasError, RefusedError, UsageError
from caasctl.named import names_out
from caasctl.needs import packages

Say = Callable[[str], None]


def listed(session: Session) -> tuple[tuple[Item, ...], Target]:
    """Raises Unreadable."""
    target = target_of(session.host)
    return items(session.profile, target, of_kubeadm(session.host, session.profile), None), target


def packing(session: Session, out: str, step: Say, hear: Say) -> Packing:
    """A run that is ready to begin. Raises UsageError."""
    names, target = names_out(out), target_of(session.host)
    _refuse_distribution(target)
    if not session.is_here:
        _refuse_elsewhere(target, _here())
    if not is_root():
        raise UsageError("airgap pack needs root", cause="apt and helm keep what they fetch in folders of root's",
                         fix="start it with sudo")  # fmt: skip
    folder = os.path.abspath(out)
    if re.search(r"[\s%]", folder):
        raise UsageError(f"{folder!r} cannot be packed into", cause="apt takes no blank and no % in the path of a key, which lies below it",
                         fix="name another folder, as /srv/airgap")  # fmt: skip
    _refuse_others(folder, names)
    try:
        LiveHost(folder).write("/.caasctl-airgap", b"")
        LiveHost(folder).remove("/.caasctl-airgap")
    except CaasError as error:
        raise UsageError(f"{out} cannot be written to", cause=error.cause, fix="name another folder") from error
    return Packing(session.profile, target, folder, step, hear)


def _refuse_distribution(target: Target) -> None:
    """Raises RefusedError where nothing of it could be packed, before there is a folder."""
    by, here = packages.manager(target.distribution), target.distribution.pretty or "this distribution"
    if by != "apt":
        how = "with dnf reposync" if by == "dnf" else "with what its own package manager has for that"
        raise RefusedError(f"packages of {here} cannot be packed", cause="caasctl packs Debian's and Ubuntu's",
                           fix=f"mirror its repositories {how}; `caasctl airgap list` says what the node needs")  # fmt: skip


def _here() -> Target:
    """The machine of this run as its apt goes by it: in a chroot the kernel may be another's. Raises Unreadable, UntoldError."""
    host = LiveHost()
    said = host.query("dpkg", "--print-architecture")
    found = target_of(host)
    return replace(found, architecture=of_dpkg(said.stdout.strip()).word) if said.ok else found


def _refuse_elsewhere(target: Target, here: Target) -> None:
    """Raises RefusedError where apt of this machine has other packages than those of the host that is meant."""
    if another := differs(target, here):
        release = f"{target.distribution.pretty or target.distribution.id} on {target.architecture}"
        raise RefusedError("packages for that host cannot be packed here", cause=f"{another}, and apt fetches those of the machine that it runs on",
                           fix=f"run the same command on a machine of {release}, or in a chroot or container of it")  # fmt: skip


def differs(target: Target, here: Target) -> str:
    """In what two hosts have other packages, a clause; "" where they have the same."""
    meant, ours = target.distribution, here.distribution
    named = bool(meant.codename and ours.codename)  # a recording may lack it
    same = meant.codename == ours.codename if named else meant.version_id == ours.version_id
    if meant.id != ours.id or not same:
        words = (f"{one.id} {one.codename or one.version_id}".rstrip() for one in (meant, ours))
        return "it is {}, this machine is {}".format(*words)
    if target.architecture != here.architecture:
        return f"it is of {target.architecture}, this machine of {here.architecture}"
    return ""


def _refuse_others(folder: str, there: tuple[str, ...]) -> None:
    """Raises UsageError for a folder with files in it that no run of pack left there."""
    known = ("airgap.json", "SHA256SUMS", "packages", "images", "charts", "files")
    left = (name for name in there if name not in known and not name.startswith(("work-", "lost+found")))
    others = [name for name in left if not name.endswith(SUFFIX)]  # of a run that was killed while it wrote
    if others:
        raise UsageError(f"{folder} holds other things: {', '.join(others[:3])}", cause="pack removes what it does not need any more",
                         fix="name an empty folder, a new one, or one that pack filled before")  # fmt: skip
