"""Which containerd goes with a Kubernetes, and what it should be told: the pause image, the handlers on the Kata tree that is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kata import SHIM, KataTree, KataTrees
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Facts
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax import kata_release, versions
from caasctl.syntax.containerd.imports import merged
from caasctl.syntax.containerd.registries import CERTS, Registry, with_certs
from caasctl.syntax.containerd.tables import DROP_IN, cri
from caasctl.syntax.containerd.wanted import Handler, Wanted

# Tags that kubeadm's own list names (`kubeadm config images list`); the newest is used for what is newer than the table.
PAUSE = {(1, 33): "3.10", (1, 34): "3.10.1", (1, 35): "3.10.1", (1, 36): "3.10.2", (1, 37): "3.10.2"}
NEWEST_KNOWN = max(PAUSE)
BETTER = (
    "in the profile: spec.packages.containerd: {from: docker} with its fingerprint, or {from: tarball} with a release of"
    " containerd 2.3 and its sha256"
)
_CHECK = "containerd.wanted"
_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Pair:
    """A containerd that would be installed with the profile's Kubernetes. version: without epoch. kubernetes: 1.36.

    cannot: why they do not work together, a sentence, "" where they do. doubts: what speaks against them, in clauses.
    """

    version: str
    kubernetes: str
    cannot: str
    doubts: str


def pair(told: str, profile: NodeProfile) -> Pair | None:
    """told: a version as a package or a release has it; None where it is none."""
    version = told.rpartition(":")[2]
    number = _NUMBER.search(version)
    if number is None:
        return None
    found, minor = (int(number[1]), int(number[2]), int(number[3] or 0)), profile.spec.kubernetes.minor
    return Pair(
        version,
        versions.text(minor),
        versions.containerd_cannot_run(found, minor),
        versions.containerd_doubts(found, minor),
    )


def refusal(profile: NodeProfile, chosen: Mapping[str, str]) -> CaasError | None:
    """Why the packages that apt chose are not installed, None where they may be. chosen: package -> version.

    The check containerd.wanted says the same, where apt's lists are there for it; a waiver of it is one of this, too.
    """
    if profile.waiver(_CHECK, datetime.now(timezone.utc).date()):
        return None
    for name in ("containerd", "containerd.io"):
        found = pair(chosen.get(name, ""), profile)
        if found and found.cannot:
            return CaasError(
                f"{name} {found.version} does not go with Kubernetes {found.kubernetes}",
                cause=f"it is what apt has on offer, and it was not installed: {found.cannot}",
                fix=f"{BETTER}; then run the same command again",
            )
    return None


def wanted(facts: Facts, profile: NodeProfile) -> Wanted:
    """What a profile asks of containerd, given the Kata trees that are there."""
    tree = kata_tree(facts, profile) or KataTree(profile.spec.kata.prefix.rstrip("/"), "", "", "", ())
    names = tuple(f"io.katacontainers.config.hypervisor.{name}" for name in profile.spec.kata.annotations)
    return Wanted(
        sandbox_image(profile),
        profile.spec.containerd.defaultRuntime,
        tuple(
            handler(name, tree, own=has_own(name, tree, profile), annotations=names)
            for name in handlers(facts, profile)
        ),
        config_path(facts) if profile.spec.containerd.registries else "",
    )


def registries(profile: NodeProfile) -> tuple[Registry, ...]:
    """Those that the profile names, each of which gets a hosts.toml."""
    named = profile.spec.containerd.registries
    return tuple(Registry(name, one.mirrors, one.ca, one.overridePath) for name, one in named.items())


def config_path(facts: Facts) -> str:
    """The folders of hosts.toml files: ours, and those that the files beside our drop-in name."""
    config, version = facts.get(ContainerdConfig), facts.get(ContainerdVersion)
    if config is None or version is None:
        return CERTS
    files = tuple(file for file in config.files if file.path != DROP_IN and not file.error)
    return with_certs(cri(merged(files, version.version)).registry.get("config_path")) if files else CERTS


def handlers(facts: Facts, profile: NodeProfile) -> tuple[str, ...]:
    """The Kata handlers in effect on this host."""
    functions = facts.get(PciFunctions)
    return profile.handlers(gpus=bool(functions and functions.selected(profile.spec.gpu)))


def kata_tree(facts: Facts, profile: NodeProfile) -> KataTree | None:
    trees = facts.get(KataTrees)
    return trees.at(profile.spec.kata.prefix) if trees else None


def has_own(name: str, tree: KataTree | None, profile: NodeProfile) -> bool:
    """Whether phase kata gives a handler its own configuration: on a tree that it brings, or that has what the handler needs.

    kata-deploy gives each handler a folder of its own in the tree, with drop-ins of its own: that is left to it.
    """
    config = tree.runs(name)[1] if tree else ""
    return bool(profile.spec.kata.source) or bool(config and "/runtimes/" not in config)


def sandbox_image(profile: NodeProfile) -> str:
    """The pause image: the profile's own, or the one that kubeadm of that version lists."""
    if profile.spec.containerd.sandboxImage != AUTO:
        return profile.spec.containerd.sandboxImage
    return f"{profile.spec.kubernetes.imageRepository}/pause:{pause_tag(profile.spec.kubernetes.minor)}"


def pause_tag(minor: tuple[int, int]) -> str:
    return PAUSE[min(max(minor, min(PAUSE)), NEWEST_KNOWN)]


def handler(name: str, tree: KataTree, *, own: bool = False, annotations: tuple[str, ...] = ()) -> Handler:
    """A handler on what the tree has for it, else where Kata's releases put the Go shim. own: with caasctl's configuration."""
    shim, config = tree.runs(name)
    usual = f"{tree.prefix}/share/defaults/kata-containers/configuration-{name.removeprefix('kata-')}.toml"
    path = kata_release.own_configuration(name) if own else config or usual
    return Handler(name, shim or f"{tree.prefix}/bin/{SHIM}", path, annotations)
