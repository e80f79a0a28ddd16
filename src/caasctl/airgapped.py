"""What `init-node --airgap DIR` takes from DIR: the folder judged as a whole, and the profile with its addresses below it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from caasctl import engine
from caasctl.airgap.directory import CHARTS, FILES, IMAGES, INDEX, PACKAGES, Directory, Entry, open_directory, wrong
from caasctl.airgap.wanted import CHART, FILE, IMAGE, REPOSITORY, Item, Target, items
from caasctl.facts import kata_host
from caasctl.facts import os as system
from caasctl.host import LiveHost
from caasctl.model import CaasError, FactUnread, RefusedError, Unreadable
from caasctl.profile import Airgap, ImageFile, NodeProfile
from caasctl.profile_packages import TarballSpec
from caasctl.protocol import Reader
from caasctl.syntax import image_name

Say = Callable[[str], None]
_SHOWN = 12


def target_of(host: Reader) -> Target:
    """The host that is meant, as far as it decides what is needed. Raises Unreadable."""
    probes = [
        probe for probe in (*system.PROBES, *kata_host.PROBES) if probe.fact in (system.OsRelease, kata_host.Machine)
    ]
    facts = engine.collect(host, probes)
    try:
        return Target(facts[system.OsRelease], facts[kata_host.Machine].word)
    except FactUnread as unread:
        path, _, why = unread.reason.partition(": ")
        raise Unreadable(path, why or "was not looked at") from unread


def read(path: str, profile: NodeProfile, target: Target, say: Say) -> NodeProfile:
    """The profile on what lies in the folder. Raises RefusedError with the list of what is wrong or lacks."""
    folder = os.path.abspath(path)
    found = open_directory(folder)
    for place in ("", *(f"/{name}" for name in (PACKAGES, IMAGES, CHARTS, FILES))):
        _refuse_unsafe(folder + place)
    trouble = [*_for_another(found, profile, target), *_lacks(found, profile, target)]
    trouble += [] if trouble else [*wrong(found, say)]
    if trouble:
        more = [f"and {len(trouble) - _SHOWN} more"] if len(trouble) > _SHOWN else []
        raise RefusedError(f"{folder} cannot make this node", cause="\n".join([*trouble[:_SHOWN], *more]),
                           fix=f"where there is a way out: `caasctl airgap pack --out DIR` with this profile and settings, then bring DIR here as {folder}")  # fmt: skip
    return _below(found, profile)


def _refuse_unsafe(folder: str) -> None:
    """Raises RefusedError for a folder in which others than root could change what was judged, before it is used."""
    try:
        if LiveHost().stat(folder, follow=False):
            LiveHost().refuse_unsafe(folder)
    except CaasError as error:
        raise RefusedError(f"others than root can change {folder}", cause=error.cause,
                           fix=f"chown -R root: {folder} && chmod -R go-w {folder}") from error  # fmt: skip


def _for_another(found: Directory, profile: NodeProfile, target: Target) -> Iterator[str]:
    said, here = found.manifest, target.distribution
    release = here.codename or here.version_id
    if (said.distribution, said.release) != (here.id, release):
        yield f"it is for {said.distribution} {said.release}, this host is {here.id} {release}"
    if said.architecture != target.architecture:
        yield f"it is for {said.architecture}, this host is {target.architecture}"
    if said.kubernetes != profile.spec.kubernetes.version:
        yield f"it is for Kubernetes {said.kubernetes}, the profile says {profile.spec.kubernetes.version}"


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
