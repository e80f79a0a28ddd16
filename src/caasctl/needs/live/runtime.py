"""From a RuntimeClass to what runs in the end: handler, shim, Kata's configuration, kernel and image, each as it is here."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd_config import ContainerdEffective, Shims
from caasctl.facts.kata import KataConfig, NamedKataConfigs
from caasctl.frozen import dataclass
from caasctl.model import Facts
from caasctl.syntax.containerd.tables import Data, cri, table
from caasctl.syntax.kata_release import USUAL
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.live.others import RuntimeClass

_INIT = "caasctl init-node --phase containerd"
_KATA = "caasctl init-node --phase kata"
_WORDS = {"path": "hypervisor", "virtio_fs_daemon": "virtiofsd"}


@dataclass(frozen=True)
class Step:
    """A link of a chain. found: a value. broken: it does not hold; unknown: it could not be seen. cause, fix: of a broken one."""

    name: str
    found: str
    broken: bool = False
    unknown: bool = False
    cause: str = ""
    fix: str = ""


def fits(one: RuntimeClass, node: Node | None) -> bool:
    """Whether the class's pods may go to a node."""
    return node is None or all(node.labels.get(key) == value for key, value in one.selector.items())


def runtime_steps(facts: Facts, handler: str) -> Iterator[Step]:
    """Ends with the first that is broken, or that could not be seen."""
    effective = facts.get(ContainerdEffective)
    if effective is None or effective.error:
        yield Step(
            "handler", effective.error if effective else "containerd's configuration could not be read", unknown=True
        )
        return
    known = cri(effective.data)
    name = handler or known.default_runtime or "runc"
    runtime = known.runtimes.get(name)
    if runtime is None:
        there = ", ".join(known.runtimes) or "none"
        yield Step("handler", f"containerd has no handler {name}, only {there}", broken=True,
                   fix=f"put {name} into spec.runtimes of the profile, then `{_INIT}`; or let the pods name a class of {there}",
                   cause=f'The class names a handler that containerd does not have: `no runtime for "{name}" is configured`.')  # fmt: skip
        return
    yield Step("handler", f"{name} ({runtime.get('runtime_type', 'without a runtime_type')})")
    shim = _shim(facts, name, runtime)
    yield shim
    if not (shim.broken or shim.unknown) and _is_kata(name, runtime, shim):
        yield from _kata(facts, name, runtime)


def _is_kata(name: str, runtime: Data, shim: Step) -> bool:
    return any("kata" in word for word in (name, str(runtime.get("runtime_type", "")), shim.found))


def _shim(facts: Facts, name: str, runtime: Data) -> Step:
    """By runtime_path, else on PATH by the type's last two parts: containerd's pkg/shim/util.go, BinaryName."""
    shims = facts.get(Shims)
    kind = str(runtime.get("runtime_type") or "")
    path = str(runtime.get("runtime_path") or (kind if kind.startswith("/") else ""))
    binary = path or f"containerd-shim-{'-'.join(kind.split('.')[-2:])}"
    if shims is None or (path and path not in shims.by_path):
        return Step("shim", binary, unknown=True)
    there = shims.by_path[path] if path else binary in shims.on_path
    if there:
        return Step("shim", path or shims.on_path[binary])
    return Step("shim", f"{binary} is not {'there, or not executable' if path else 'on the PATH of containerd'}", broken=True,
                cause=f"containerd cannot start pods of {name}: `failed to start shim`, `no such file or directory`.",
                fix=_KATA if "kata" in binary else _INIT)  # fmt: skip


def _kata(facts: Facts, name: str, runtime: Data) -> Iterator[Step]:
    configs = facts.get(NamedKataConfigs)
    path = str(table(runtime, "options").get("ConfigPath") or "")
    if configs is None:
        yield Step("Kata configuration", path or "could not be read", unknown=True)
        return
    path = path or next((usual for usual in USUAL if configs.of(usual)), "")
    config = configs.of(path)
    if config is None and path and path not in configs.absent:
        yield Step("Kata configuration", path, unknown=True)
    elif config is None:
        said = f"{path} is not there" if path else f"none named for {name}, and none at {' or '.join(USUAL)}"
        yield Step("Kata configuration", said, broken=True, fix=_KATA,
                   cause="The shim starts and stops with `Cannot find usable config file`.")  # fmt: skip
    else:
        yield Step("Kata configuration", path)
        yield _parts(config)


def _parts(config: KataConfig) -> Step:
    """Kernel, image or initrd, hypervisor, and whatever else the file names."""
    parts = dict(config.parts)
    label = "kernel and image"
    if config.missing:
        missing = [f"{_WORDS.get(key, key)} {path}" for key, _, path in (one.partition(" ") for one in config.missing)]
        return Step(label, f"{', '.join(missing)}: not there", broken=True, fix=_KATA,
                    cause=f"{config.path} names files of another tree, or a tree that was removed: the guest cannot start.")  # fmt: skip
    if parts and "kernel" in parts and not {"image", "initrd"} & parts.keys():
        return Step(label, f"{config.path} names neither image nor initrd", broken=True, fix=_KATA,
                    cause="A guest has nothing to start from: `image or initrd must be set`.")  # fmt: skip
    shown = [parts[key] for key in ("path", "kernel", "image", "initrd") if key in parts]
    return Step(label, ", ".join(shown) or f"none named in {config.path}")
