"""A handler's own configuration in /etc: the vendor's as data, and a drop-in beside it with what caasctl sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import HEADER, CaasError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, Resource, State, Undo, Unknown, Writer

SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock"
GPU_TIMEOUT_S = 1200
_LIST = "enable_annotations"  # runtimes may unite lists of two files: it is in the drop-in only
Pair = tuple[str, str]  # shim, vendor's configuration


@dataclass(frozen=True)
class Settings:
    """annotations: names of the hypervisor's that a pod may set. gpu_ports: root ports for devices, 0 for a handler without."""

    annotations: tuple[str, ...]
    gpu_ports: int = 0


class PlainFile(Resource, Protocol):
    """A resource that is one file, owned whole."""

    @property
    def path(self) -> str:
        """Where it lies."""


@dataclass(frozen=True)
class VendorCopy:
    """Of the first pair that is there: a shim without its configuration is of no use, nor the other way.

    file: what lies there. settings: of a drop-in, None for the copy itself.
    """

    file: PlainFile
    pairs: tuple[Pair, ...]
    settings: Settings | None = None
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    mode: int = 0o644

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def members(self) -> tuple[VendorCopy, ...]:
        """It is the one file that it writes."""
        return (self,)

    def look(self, host: Reader) -> State:
        """As long as the tree is not there, what it will be cannot be told: then it is as it is."""
        own = self.file.look(host)
        try:
            path = next((path for shim, path in self.pairs if host.stat(shim) and host.stat(path)), "")
            vendor = host.read(path) if path else None
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if isinstance(own, Unknown) or vendor is None:
            return own
        has = own if isinstance(own, Known) else Known("")
        return Known(has.text, has.mode, parts=((self.path, own), (path, Known(vendor))))

    def target(self, now: State) -> State:
        if not isinstance(now, Known) or not now.parts:
            return now
        path, vendor = now.parts[1]
        text = self._derived(path, vendor.text if isinstance(vendor, Known) else "")
        return Known(text, self.mode, parts=((self.path, Known(text, self.mode)), (path, vendor)))

    def apply(self, host: Writer, now: State) -> Outcome:
        wanted = self.target(now)
        if not isinstance(wanted, Known) or not wanted.parts:
            raise CaasError(f"{self.path} cannot be made: none of {', '.join(path for _, path in self.pairs)} is there with its shim",
                            fix="`caasctl preflight --check kata.tree` says what is missing")  # fmt: skip
        host.write(self.path, wanted.text.encode(), self.mode)
        return Done()

    def undo(self, now: State) -> Undo:
        own = dict(now.parts).get(self.path, Absent()) if isinstance(now, Known) and now.parts else now
        return self.file.undo(own)

    def _derived(self, path: str, vendor: str) -> str:
        data = formats.parse_toml(vendor, path)
        if self.settings is not None:
            return HEADER + formats.dump_toml(drop_in(data, self.settings, rust="/runtime-rs/" in path))
        for table in _mapping(data.get("hypervisor")).values():
            table.pop(_LIST, None)
        said = f"# The settings of {path}, where each is explained; {_LIST} is in config.d/60-caasctl.toml.\n"
        return HEADER + said + formats.dump_toml(data)


def drop_in(vendor: Mapping[str, Any], settings: Settings, *, rust: bool) -> dict[str, Any]:
    """What caasctl sets, in the words of the shim that will read it."""
    hypervisor: dict[str, Any] = {_LIST: list(settings.annotations)}
    agent: dict[str, Any] = {}
    runtime: dict[str, Any] = {"sandbox_cgroup_only": True}
    if settings.gpu_ports:
        hypervisor |= {"cold_plug_vfio": "root-port", "pcie_root_port": settings.gpu_ports}
        runtime["pod_resource_api_sock"] = SOCKET
        if rust:
            agent |= {"reconnect_timeout_ms": GPU_TIMEOUT_S * 1000, "create_container_timeout": GPU_TIMEOUT_S}
        else:
            hypervisor["hot_plug_vfio"] = "no-port"
            agent["dial_timeout"] = runtime["create_container_timeout"] = GPU_TIMEOUT_S
    name = next(iter(_mapping(vendor.get("hypervisor"))), "qemu")
    whole: dict[str, Any] = {"hypervisor": {name: hypervisor}}
    return {**whole, **({"agent": {"kata": agent}} if agent else {}), "runtime": runtime}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
