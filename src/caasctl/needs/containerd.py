"""What containerd should be told: the pause image of the Kubernetes version, and the handlers on the Kata tree that is there."""

from __future__ import annotations

from caasctl.facts.kata import SHIM, KataTree, KataTrees
from caasctl.model import Facts
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.containerd.wanted import Handler, Wanted

# Tags that kubeadm's own list names (`kubeadm config images list`); the newest is used for what is newer than the table.
PAUSE = {(1, 33): "3.10", (1, 34): "3.10.1", (1, 35): "3.10.1", (1, 36): "3.10.2", (1, 37): "3.10.2"}
NEWEST_KNOWN = max(PAUSE)


def wanted(facts: Facts, profile: NodeProfile) -> Wanted:
    """What a profile asks of containerd, given the Kata trees that are there."""
    trees, prefix = facts.get(KataTrees), profile.spec.kata.prefix.rstrip("/")
    tree = (trees.at(prefix) if trees else None) or KataTree(prefix, "", "", "", ())
    return Wanted(
        sandbox_image(profile),
        profile.spec.containerd.defaultRuntime,
        tuple(handler(name, tree) for name in profile.kata_handlers),
    )


def sandbox_image(profile: NodeProfile) -> str:
    """The pause image: the profile's own, or the one that kubeadm of that version lists."""
    if profile.spec.containerd.sandboxImage != AUTO:
        return profile.spec.containerd.sandboxImage
    return f"{profile.spec.kubernetes.imageRepository}/pause:{pause_tag(profile.spec.kubernetes.minor)}"


def pause_tag(minor: tuple[int, int]) -> str:
    return PAUSE[min(max(minor, min(PAUSE)), NEWEST_KNOWN)]


def handler(name: str, tree: KataTree) -> Handler:
    """A handler on what the tree has for it, else where Kata's releases put the Go shim and its configuration."""
    shim, config = tree.runs(name)
    usual = f"{tree.prefix}/share/defaults/kata-containers/configuration-{name.removeprefix('kata-')}.toml"
    return Handler(name, shim or f"{tree.prefix}/bin/{SHIM}", config or usual)
