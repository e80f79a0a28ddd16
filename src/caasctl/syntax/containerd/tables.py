"""containerd's configuration as data: schema versions, plugin ids, and what its CRI tables say in any schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from caasctl.frozen import dataclass

MAIN = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/zz-caasctl.toml"  # sorts after nvidia-ctk's 99-nvidia.toml: ours is read last
SOCKET = "/run/containerd/containerd.sock"
CRI = "io.containerd.grpc.v1.cri"  # all of the CRI up to schema 2; from schema 3 only its streaming server
CRI_RUNTIME = "io.containerd.cri.v1.runtime"
CRI_IMAGES = "io.containerd.cri.v1.images"
CRI_TABLES = ("cri", CRI, CRI_RUNTIME, CRI_IMAGES)
RUNC_TYPES = ("io.containerd.runc.v2", "io.containerd.runc.v1", "io.containerd.runtime.v1.linux")
# Without any of these the CRI plugin does not come up (the last three are its sandboxes').
NEEDED_BY_CRI = (
    CRI,
    CRI_RUNTIME,
    CRI_IMAGES,
    "io.containerd.podsandbox.controller.v1.podsandbox",
    "io.containerd.sandbox.controller.v1.shim",
    "io.containerd.sandbox.store.v1.local",
)

Data = Mapping[str, Any]
KeyPath = tuple[str, ...]
Version = tuple[int, int, int]


def schema(data: Data) -> int:
    """The schema that containerd takes a file for: its root `version`, and 1 where it names none."""
    version = data.get("version", 1)
    return version if isinstance(version, int) and version > 0 else 1


def newest_schema(version: Version) -> int:
    """The newest schema that a containerd reads."""
    if version < (2, 0, 0):
        return 2
    return 3 if version < (2, 3, 0) else 4


def plugin_ids(version: Version) -> tuple[str, ...]:
    """The plugins that must be `ok` for the CRI to answer."""
    return (CRI,) if version < (2, 0, 0) else (CRI, CRI_RUNTIME, CRI_IMAGES)


def table(data: Any, *path: str) -> Data:
    """The table at a path; empty where there is none, or no table."""
    for name in path:
        data = data.get(name) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def leaves(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """(key path, value) of every value that is no table; an empty table counts as one."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from leaves(value, (*path, str(key)))
    else:
        yield path, data


def runtimes_path(file_schema: int) -> KeyPath:
    """Where the runtime handlers stand in a schema."""
    return (*places(file_schema).runtime, "containerd", "runtimes")


def cri_tables(data: Data) -> tuple[str, ...]:
    """The plugin tables of a file that hold parts of the CRI's configuration, by their names in it."""
    return tuple(name for name in table(data, "plugins") if name in CRI_TABLES)


@dataclass(frozen=True)
class Places:
    """Key paths of what is set per schema."""

    runtime: KeyPath
    images: KeyPath
    sandbox_image: KeyPath
    snapshotter: KeyPath
    registry: KeyPath


def places(file_schema: int) -> Places:
    if file_schema >= 3:  # noqa: PLR2004 - a schema version
        runtime, images = ("plugins", CRI_RUNTIME), ("plugins", CRI_IMAGES)
        return Places(
            runtime, images, (*images, "pinned_images", "sandbox"), (*images, "snapshotter"), (*images, "registry")
        )
    cri = ("plugins", "cri" if file_schema == 1 else CRI)
    return Places(cri, cri, (*cri, "sandbox_image"), (*cri, "containerd", "snapshotter"), (*cri, "registry"))


@dataclass(frozen=True)
class Cri:
    """What a configuration says of the CRI, whatever its schema. Absent texts are "", absent tables empty.

    cdi: None where the key is not given. runtimes: handler -> its table.
    """

    default_runtime: str = ""
    sandbox_image: str = ""
    snapshotter: str = ""
    cdi: bool | None = None
    runtimes: Mapping[str, Data] = field(default_factory=dict)
    cni: Data = field(default_factory=dict)
    registry: Data = field(default_factory=dict)
    disabled_plugins: tuple[str, ...] = ()


def cri(data: Data) -> Cri:
    """The CRI's configuration in a file or a dump, read as its own schema says."""
    at = places(schema(data))
    runtime = table(data, *at.runtime)
    cdi = runtime.get("enable_cdi")
    return Cri(
        default_runtime=_text(table(runtime, "containerd").get("default_runtime_name")),
        sandbox_image=_text(table(data, *at.sandbox_image[:-1]).get(at.sandbox_image[-1])),
        snapshotter=_text(table(data, *at.snapshotter[:-1]).get(at.snapshotter[-1])),
        cdi=cdi if isinstance(cdi, bool) else None,
        runtimes={name: table(value) for name, value in table(runtime, "containerd", "runtimes").items()},
        cni=table(runtime, "cni"),
        registry=table(data, *at.registry),
        disabled_plugins=strings(data.get("disabled_plugins")),
    )


def socket(data: Data) -> str:
    """The path of the daemon's socket: schema 4 keeps it with the server's plugins."""
    given = table(data, "plugins", "io.containerd.server.v1.grpc").get("address") or table(data, "grpc").get("address")
    return given if isinstance(given, str) and given else SOCKET


def is_runc(runtime: Data) -> bool:
    """Whether a handler runs runc (or a program that replaces it, like nvidia-container-runtime)."""
    return runtime.get("runtime_type", "") in RUNC_TYPES


def systemd_cgroup(runtime: Data) -> bool:
    return table(runtime, "options").get("SystemdCgroup") is True


def strings(value: Any) -> tuple[str, ...]:
    """The texts of a list; empty for whatever else."""
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, (list, tuple)) else ()


def disables_cri(disabled: tuple[str, ...]) -> tuple[str, ...]:
    """The entries of disabled_plugins that keep the CRI from coming up."""
    return tuple(entry for entry in disabled if entry == "cri" or entry in NEEDED_BY_CRI)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
