"""CDI on this host: the specifications in its directories, what their nodes lead to, and what device plugins advertise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import MARK, Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax.cdi.lint import Source
from caasctl.syntax.cdi.passthrough import DIRECTORIES
from caasctl.syntax.cdi.spec import Read, parse

READ_BY_LIBRARY = (".json", ".yaml")
CHECKPOINT = "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"
_CHARACTER_DEVICES = "/sys/class/vfio-dev"


@dataclass(frozen=True)
class CdiFile:
    """A file that CDI's readers take. unread: why it could not be read here, "" where it was. ours: caasctl wrote it."""

    path: str
    read: Read = field(default_factory=Read)
    unread: str = ""
    ours: bool = False


@dataclass(frozen=True)
class CdiSpecs:
    """files: in the order in which they are read. ignored: paths that look like specifications, but nobody reads .yml.

    missing: nodes on the host that a specification names and that are not there.
    """

    files: tuple[CdiFile, ...] = ()
    ignored: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()

    @property
    def sources(self) -> tuple[Source, ...]:
        """The specifications that are valid."""
        return tuple(Source(file.path, file.read.spec) for file in self.files if file.read.spec)


@dataclass(frozen=True)
class VfioCharacterDevices:
    """addresses: N of /dev/vfio/devices/vfioN -> PCI address. Empty where the kernel has groups only."""

    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DevicePlugins:
    """What the kubelet has on record of device plugins. registered: extended resource -> ids of its healthy devices.

    A resource whose plugin is gone has none. recorded: there is a record, of this boot as far as it says.
    """

    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    recorded: bool = False


def read_specs(host: Reader) -> CdiSpecs:
    files: list[CdiFile] = []
    ignored: list[str] = []
    for folder in DIRECTORIES:
        for name in host.list(folder) or ():
            path = f"{folder}/{name}"
            if name.endswith(READ_BY_LIBRARY):
                files += _file(host, path)
            elif name.endswith(".yml"):
                ignored.append(path)
    named = {
        node.on_host: None
        for file in files
        for spec in (file.read.spec,)
        if spec
        for device in spec.devices
        for node in spec.nodes_of(device)
        if not node.numbered
    }
    return CdiSpecs(tuple(files), tuple(ignored), frozenset(_missing(host, named)))


def _file(host: Reader, path: str) -> Iterator[CdiFile]:
    """The file; nothing for a directory of such a name, which is not entered, or for what is gone since it was listed."""
    try:
        there = host.stat(path, follow=False)
        if there is None or there.kind is FileKind.DIR:
            return
        text = host.read(path)
    except Unreadable as unreadable:
        yield CdiFile(path, unread=unreadable.reason)
        return
    if text is None:
        yield CdiFile(path, Read(problems=("a link to nothing: no such file or directory",)))
    else:
        yield CdiFile(path, parse(text, path), ours=MARK in text.lower())


def _missing(host: Reader, nodes: Mapping[str, None]) -> Iterator[str]:
    """Of those on the host the ones that are not there. None are told where there is no /dev to tell by."""
    if nodes and host.stat("/dev") is not None:
        for node in nodes:
            try:
                if host.stat(node) is None:
                    yield node
            except Unreadable:
                continue  # it is there, behind what only root may enter


def read_character_devices(host: Reader) -> VfioCharacterDevices:
    found = {}
    for name in host.list(_CHARACTER_DEVICES) or ():
        parts = (host.readlink(f"{_CHARACTER_DEVICES}/{name}") or "").split("/")
        if len(parts) > 2 and parts[-2] == "vfio-dev":  # noqa: PLR2004 - .../0000:65:00.0/vfio-dev/vfio0
            found[name.removeprefix("vfio")] = parts[-3]
    return VfioCharacterDevices(found)


def read_plugins(host: Reader) -> DevicePlugins:
    text = host.read(CHECKPOINT)
    if text is None:
        return DevicePlugins()
    try:
        data = formats.parse_json(text, CHECKPOINT)
        booted = data.get("BootID", "")
        registered = {name: tuple(sorted(ids or ())) for name, ids in (data["Data"]["RegisteredDevices"] or {}).items()}
    except (formats.FormatError, AttributeError, KeyError, TypeError) as error:
        raise Unreadable(CHECKPOINT, "is no record of the kubelet's device plugins") from error
    if booted and booted != (host.read("/proc/sys/kernel/random/boot_id") or booted).strip():
        return DevicePlugins()  # of before the reboot: no plugin has registered since
    return DevicePlugins(registered, recorded=True)


PROBES: tuple[Probe, ...] = (
    Probe(CdiSpecs, read_specs),
    Probe(VfioCharacterDevices, read_character_devices),
    Probe(DevicePlugins, read_plugins),
)
