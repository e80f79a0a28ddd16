"""What caasctl wants of containerd, as data: which image, which default, which handlers. `needs/containerd.py` fills it."""

from __future__ import annotations

from caasctl.frozen import dataclass


@dataclass(frozen=True)
class Handler:
    """A Kata runtime handler. Paths are absolute. annotations: of pods, that are handed on to the shim."""

    name: str
    runtime_path: str
    config_path: str
    annotations: tuple[str, ...] = ()

    @property
    def runtime_type(self) -> str:
        return f"io.containerd.{self.name}.v2"


@dataclass(frozen=True)
class Wanted:
    """The CRI settings that caasctl owns; runc with systemd cgroups goes without saying.

    config_path: the folders of the registries' hosts.toml, "" to leave them as they are.
    """

    sandbox_image: str
    default_runtime: str = "runc"
    handlers: tuple[Handler, ...] = ()
    config_path: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return ("runc", *(handler.name for handler in self.handlers))
