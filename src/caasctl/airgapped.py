"""What `init-node --airgap DIR` takes from DIR: the folder judged as a whole, and the profile with its addresses below it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from caasctl import engine
from caasctl.airgap.charts import values_digest
from caasctl.airgap.directory import (
    CHARTS,
    FILES,
    IMAGES,
    INDEX,
    PACKAGES,
    Directory,
    Entry,
    changeable_by_others,
    open_directory,
    wrong,
)
from caasctl.airgap.wanted import CHART, FILE, IMAGE, REPOSITORY, Item, Target, items
from caasctl.facts import kata_host
from caasctl.facts import os as system
from caasctl.host import LiveHost
from caasctl.host.safety import UnsafeError, mended
from caasctl.model import CaasError, Exit, FactUnread, RefusedError, Unreadable
from caasctl.profile import Airgap, ImageFile, NodeProfile
from caasctl.profile_packages import TarballSpec
from caasctl.protocol import Reader
from caasctl.syntax import image_name

Say = Callable[[str], None]
_SHOWN = 12


class UntoldError(CaasError):
    """Nothing tells what the host is that is meant."""

    exit_code = Exit.UNDETERMINED


def target_of(host: Reader) -> Target:
    """The host that is meant, as far as it decides what is needed. Raises Unreadable, UntoldError."""
    probes = [
        probe for probe in (*system.PROBES, *kata_host.PROBES) if probe.fact in (system.OsRelease, kata_host.Machine)
    ]
    facts = engine.collect(host, probes)
    try:
        return Target(facts[system.OsRelease], facts[kata_host.Machine].word)
    except FactUnread as unread:
        if unread.kind is kata_host.Machine:
            raise UntoldError("which processor that host has cannot be told", cause=unread.reason,
                              fix="record the host where it runs, as root: `caasctl facts --record FILE.tar.gz`, then here: --facts FILE.tar.gz") from unread  # fmt: skip
        path, _, why = unread.reason.partition(": ")
        raise Unreadable(path, why or "was not looked at") from unread


def read(path: str, profile: NodeProfile, target: Target, say: Say) -> NodeProfile:
    """The profile on what lies in the folder. Raises RefusedError with the list of what is wrong or lacks."""
    folder = os.path.abspath(path)
    _refuse_name(folder)
    found = open_directory(folder)
    for place in ("", *(f"/{name}" for name in (PACKAGES, IMAGES, CHARTS, FILES))):
        _refuse_unsafe(folder, folder + place)
    if others := [*changeable_by_others(found)]:
        raise RefusedError(
            f"others than root can change what is in {folder}", cause=_shown(others), fix=_all_of_roots(folder)
        )
    trouble = [*_for_another(found, profile, target), *_lacks(found, profile, target)]
    trouble += [] if trouble else [*wrong(found, say)]
    if trouble:
        raise RefusedError(f"{folder} cannot make this node", cause=_shown(trouble),
                           fix=f"where there is a way out: `caasctl airgap pack --out DIR` with this profile and settings, then bring DIR here as {folder}")  # fmt: skip
    return _below(found, profile)


def _refuse_name(folder: str) -> None:
    """Apt takes addresses in percent-encoding, and decodes some of them twice."""
    if "%" in folder or not folder.isprintable():
        raise RefusedError(f"apt cannot read from {folder!r}", cause="its path has a % or a control character in it, which apt takes for another path",
                           fix="give the folder another name, as /srv/airgap")  # fmt: skip


def _shown(clauses: list[str]) -> str:
    more = [f"and {len(clauses) - _SHOWN} more"] if len(clauses) > _SHOWN else []
    return "\n".join([*clauses[:_SHOWN], *more])


def _refuse_unsafe(folder: str, place: str) -> None:
    """Raises RefusedError where others than root could change what was judged, before it is used. place: the folder, or one in it."""
    try:
        if LiveHost().stat(place, follow=False):
            LiveHost().refuse_unsafe(place)
    except UnsafeError as error:
        raise RefusedError(f"others than root can change what is in {place}", cause=f"{error.path} is not safe: {error.cause}",
                           fix=_safe_again(folder, error)) from error  # fmt: skip
    except CaasError as error:
        raise RefusedError(error.problem, cause=error.cause, fix=error.fix) from error


def _safe_again(folder: str, error: UnsafeError) -> str:
    if error.is_link:
        return f"ls -l {shlex.quote(error.path)}; if it leads where it should: chown -h root: {shlex.quote(error.path)}"
    if error.path == folder or error.path.startswith(f"{folder}/"):
        return _all_of_roots(folder)
    return f"bring the folder to a place of root's, as /srv/airgap, or make this one root's: {mended(error.path)}"


def _all_of_roots(folder: str) -> str:
    return f"chown -R root: {shlex.quote(folder)} && chmod -R go-w {shlex.quote(folder)}"


def _for_another(found: Directory, profile: NodeProfile, target: Target) -> Iterator[str]:
    said, here = found.manifest, target.distribution
    release = here.codename or here.version_id
    if (said.distribution, said.release) != (here.id, release):
        yield f"it is for {said.distribution} {said.release}, this host is {here.id} {release}"
    if said.architecture != target.architecture:
        yield f"it is for {said.architecture}, this host is {target.architecture}"
    if said.kubernetes != profile.spec.kubernetes.version:
        yield f"it is for Kubernetes {said.kubernetes}, the profile says {profile.spec.kubernetes.version}"
    # Who joins gets Cilium from the cluster, with values that no profile here tells.
    if profile.begins_cluster and said.cilium != values_digest(profile):
        yield (
            "it is for other values of Cilium's chart than the profile's"
            if said.cilium
            else "it does not say for which values of Cilium's chart it was packed"
        )


def _lacks(found: Directory, profile: NodeProfile, target: Target) -> Iterator[str]:
    """What pack itself told, and what this profile needs beside."""
    yield from (f"it was packed without this: {one}" for one in found.manifest.lacks)
    for item in items(profile, target, None, None):
        if item.why_unknown and item.kind == IMAGE and " " not in item.name:  # of an image whose tag pack came to know
            there = any(entry.name.startswith(f"{item.name}:") for entry in found.manifest.of(IMAGE))
        else:
            there = bool(item.why_unknown) or item.kind == REPOSITORY or _find(found, item) is not None
        if not there:
            yield f"{item.kind} {item.name} {item.version}".rstrip() + " is not in it"


def _find(found: Directory, item: Item) -> Entry | None:
    return next((entry for entry in found.manifest.of(item.kind) if _is(found, entry, item)), None)


def _is(found: Directory, entry: Entry, item: Item) -> bool:
    if item.kind == IMAGE:
        image = image_name.parse(item.name)
        return bool(image and set(image.names) & set(entry.names))
    if entry.name != item.name:
        return False
    if item.kind == FILE:
        return found.sums.get(entry.path) == item.sha256
    return not item.version or fnmatchcase(entry.version, item.version)


def _below(found: Directory, profile: NodeProfile) -> NodeProfile:
    """The same profile with other addresses: what follows asks nobody outside."""
    files = {entry.name: found.at(entry) for entry in found.manifest.of(FILE)}
    images = tuple(ImageFile(found.at(entry), entry.names) for entry in found.manifest.of(IMAGE))
    packages = f"{found.path}/{PACKAGES}" if INDEX in found.sums else ""
    spec = profile.spec
    chart = next((found.at(entry) for entry in found.manifest.of(CHART)), spec.cilium.chart)
    runtime = spec.packages.containerd

    def at(
        key: str, source: str
    ) -> str:  # what the profile does not name has no digest in it, and is left in the folder
        return files.get(key, source) if source else ""

    def there(key: str, one: TarballSpec) -> TarballSpec:
        return replace(one, source=at(key, one.source))

    runtime = replace(
        runtime,
        tarball=there("containerd", runtime.tarball),
        runc=there("runc", runtime.runc),
        cni=there("cni-plugins", runtime.cni),
    )
    spec = replace(
        spec,
        packages=replace(spec.packages, helm=there("helm", spec.packages.helm), containerd=runtime),
        kata=replace(spec.kata, source=at("kata", spec.kata.source)),
        cilium=replace(spec.cilium, chart=chart),
    )
    return replace(profile, spec=spec, airgap=Airgap(found.path, packages, images, found.digest))
