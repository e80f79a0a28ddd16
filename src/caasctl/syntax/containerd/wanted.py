"""What caasctl wants of containerd: the pause image of a Kubernetes version, and the handlers of a Kata tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from caasctl.profile import AUTO, NodeProfile

# Tags that kubeadm's own list names (`kubeadm config images list`); the newest is used for what is newer than the table.
PAUSE = {(1, 33): "3.10", (1, 34): "3.10.1", (1, 35): "3.10.1", (1, 36): "3.10.2", (1, 37): "3.10.2"}
NEWEST_KNOWN = max(PAUSE)
CILIUM_PLUGINS = "/opt/cni/bin"  # where Cilium's chart puts cilium-cni, unless its cni.binPath says otherwise


@dataclass(frozen=True)
class Handler:
    """A Kata runtime handler. Paths are absolute."""

    name: str
    runtime_path: str
    config_path: str

    @property
    def runtime_type(self) -> str:
        return f"io.containerd.{self.name}.v2"


@dataclass(frozen=True)
class Wanted:
    """The CRI settings that caasctl owns; runc with systemd cgroups goes without saying."""

    sandbox_image: str
    default_runtime: str = "runc"
    handlers: tuple[Handler, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return ("runc", *(handler.name for handler in self.handlers))


@dataclass(frozen=True)
class Tree:
    """Where a Kata tree has its shims and configurations: "" and () for what it does not have."""

    prefix: str
    go_shim: str = ""
    rust_shim: str = ""
    configs: tuple[str, ...] = ()


def wanted(profile: NodeProfile, trees: Iterable[Tree] = ()) -> Wanted:
    """What a profile asks of containerd, given the Kata trees that are there."""
    prefix = profile.spec.kata.prefix.rstrip("/")
    tree = next((t for t in trees if t.prefix == prefix), Tree(prefix))
    return Wanted(
        sandbox_image(profile),
        profile.spec.containerd.defaultRuntime,
        tuple(handler(name, tree) for name in profile.kata_handlers),
    )


def cni_plugins(profile: NodeProfile) -> str:
    """The folder into which Cilium puts its plugin."""
    cni = profile.spec.cilium.values.get("cni")
    return str((cni.get("binPath") if isinstance(cni, Mapping) else "") or CILIUM_PLUGINS)


def sandbox_image(profile: NodeProfile) -> str:
    """The pause image: the profile's own, or the one that kubeadm of that version lists."""
    if profile.spec.containerd.sandboxImage != AUTO:
        return profile.spec.containerd.sandboxImage
    return f"{profile.spec.kubernetes.imageRepository}/pause:{pause_tag(profile.spec.kubernetes.minor)}"


def pause_tag(minor: tuple[int, int]) -> str:
    return PAUSE[min(max(minor, min(PAUSE)), NEWEST_KNOWN)]


def handler(name: str, tree: Tree) -> Handler:
    """A handler on the Go shim where the tree has its files, else on the Rust one where it has those, else on Go's usual paths."""
    shim = name.removeprefix("kata-")
    go, rust = _go_configs(tree.prefix, shim), _rust_configs(tree.prefix, shim)
    for program, configs in ((tree.go_shim, go), (tree.rust_shim, rust)):
        there = [config for config in configs if config in tree.configs]
        if program and there:
            return Handler(name, program, there[0])
    return Handler(name, f"{tree.prefix}/bin/containerd-shim-kata-v2", go[-1])


def _go_configs(prefix: str, shim: str) -> tuple[str, ...]:
    """A folder per handler (as kata-deploy lays them out) before the tarball's common one."""
    folder = f"{prefix}/share/defaults/kata-containers"
    return f"{folder}/runtimes/{shim}/configuration-{shim}.toml", f"{folder}/configuration-{shim}.toml"


def _rust_configs(prefix: str, shim: str) -> tuple[str, ...]:
    folder, name = f"{prefix}/share/defaults/kata-containers/runtime-rs", f"{shim}-runtime-rs"
    return f"{folder}/runtimes/{name}/configuration-{name}.toml", f"{folder}/configuration-{name}.toml"
