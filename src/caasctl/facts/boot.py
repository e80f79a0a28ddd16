"""How the host boots: the running command line, the boot loader and its configuration, hugepages."""

from __future__ import annotations

import re
from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.model import MARK, Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax import cmdline, grub

DEFAULTS, DROP_INS, OURS = "/etc/default/grub", "/etc/default/grub.d", "/etc/default/grub.d/zz-caasctl.cfg"
_LOADER_INFO = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_PAGES = "/sys/kernel/mm/hugepages"
_NODES = "/sys/devices/system/node"
_SIZE = re.compile(r"hugepages-(\d+)kB")


@dataclass(frozen=True)
class CommandLine:
    """/proc/cmdline of the running kernel."""

    text: str

    @property
    def tokens(self) -> tuple[cmdline.Token, ...]:
        return cmdline.tokens(self.text)


@dataclass(frozen=True)
class BootLoader:
    """Who starts the kernel, and what tells.

    kind: grub (drop-ins below /etc/default/grub.d work), grub-plain (only /etc/default/grub is read), bls (GRUB with
    /boot/loader/entries), systemd-boot, ostree, proxmox-boot, extlinux, or "" where nothing is recognised.
    config: the generated grub.cfg. mkconfig: grub-mkconfig or grub2-mkconfig. update: what regenerates `config`.
    firmware: uefi or bios. initramfs: dracut, initramfs-tools or "".
    """

    kind: str
    reasons: tuple[str, ...] = ()
    config: str = ""
    mkconfig: str = ""
    update: tuple[str, ...] = ()
    firmware: str = "bios"
    initramfs: str = ""

    def configured_by_us(self, *, apply_bls: bool) -> bool:
        """Whether phase boot brings arguments into it. apply_bls: spec.boot.applyBLS, the leave to run grubby."""
        return self.kind == "grub" or (self.kind == "bls" and apply_bls)


@dataclass(frozen=True)
class Argument:
    """A kernel argument that a file configures. path, line: who wrote it. ours: caasctl's own drop-in did."""

    text: str
    path: str
    line: int
    ours: bool = False

    @property
    def token(self) -> cmdline.Token:
        return cmdline.token(self.text)

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True)
class GrubConfig:
    """/etc/default/grub and its drop-ins in the order in which grub-mkconfig sources them.

    evaluation: of all files. arguments: of normal entries, in their order. foreign: those without our own drop-in.
    ours: our drop-in is there. carriage_returns: files with DOS line ends. initrdless: GRUB_FORCE_PARTUUID is set.
    """

    files: tuple[str, ...]
    evaluation: grub.Evaluation
    arguments: tuple[Argument, ...] = ()
    foreign: tuple[Argument, ...] = ()
    ours: bool = False
    carriage_returns: tuple[str, ...] = ()
    initrdless: bool = False

    @property
    def doubts(self) -> tuple[grub.Origin, ...]:
        """Places that make the arguments uncertain, each once."""
        found = [doubt for name in grub.NORMAL_ENTRIES for doubt in self.evaluation.value(name).doubts]
        return tuple(dict.fromkeys(found))

    @property
    def foreign_tokens(self) -> tuple[cmdline.Token, ...]:
        return cmdline.of_words(argument.text for argument in self.foreign)

    @property
    def tokens(self) -> tuple[cmdline.Token, ...]:
        return cmdline.of_words(argument.text for argument in self.arguments)


@dataclass(frozen=True)
class PageSize:
    """size_kib: of one page. total, free: pages now. nodes: NUMA node -> pages."""

    size_kib: int
    total: int
    free: int
    nodes: Mapping[int, int]


@dataclass(frozen=True)
class Hugepages:
    """Hugepages by size, smallest first; () on a kernel without them."""

    sizes: tuple[PageSize, ...]

    def total(self, size_kib: int) -> int:
        return next((size.total for size in self.sizes if size.size_kib == size_kib), 0)


def read_command_line(host: Reader) -> CommandLine:
    text = host.read("/proc/cmdline")
    if text is None:
        raise Unreadable("/proc/cmdline", "is not there")
    return CommandLine(text.strip("\0\n "))


def read_loader(host: Reader) -> BootLoader:
    kind, *reasons = _kind(host)
    two = _there(host, "/boot/grub2/grub.cfg") or _program(host, "grub2-mkconfig")
    config = "/boot/grub2/grub.cfg" if two else "/boot/grub/grub.cfg"
    mkconfig = "grub2-mkconfig" if two else "grub-mkconfig"
    update = ("update-grub",) if _program(host, "update-grub") and not two else (mkconfig, "-o", config)
    initramfs = "dracut" if _program(host, "dracut") else "initramfs-tools" if _program(host, "mkinitramfs") else ""
    firmware = "uefi" if host.list("/sys/firmware/efi") is not None else "bios"
    if kind not in {"grub", "grub-plain", "bls"}:
        return BootLoader(kind, tuple(reasons), firmware=firmware, initramfs=initramfs)
    return BootLoader(kind, tuple(reasons), config, mkconfig, update, firmware, initramfs)


def _kind(host: Reader) -> tuple[str, ...]:
    """The kind and what told."""
    for path, kind in (("/run/ostree-booted", "ostree"), ("/etc/kernel/proxmox-boot-uuids", "proxmox-boot")):
        if host.stat(path):
            return kind, f"{path} exists"
    said = loader_info(host)
    if said.startswith("systemd-boot"):
        return "systemd-boot", f"the firmware was told so by {said} (EFI variable LoaderInfo)"
    defaults = _quiet(host, DEFAULTS) or ""
    if grub.evaluate([(DEFAULTS, defaults)]).value("GRUB_ENABLE_BLSCFG").text.lower() in {"true", "y", "yes"}:
        return "bls", f"{DEFAULTS} sets GRUB_ENABLE_BLSCFG"
    script = next((path for path in _places("grub-mkconfig", "grub2-mkconfig") if host.stat(path)), "")
    if script and _absent(host, "/boot/grub") and _absent(host, "/boot/grub2"):
        return "", f"{script} is there, but neither /boot/grub nor /boot/grub2: GRUB does not start this machine"
    if script:
        sources = f"{DROP_INS.removeprefix('/etc')}/" in (host.read(script) or "")
        said = f"{script} {'reads' if sources else 'does not read'} {DROP_INS}"
        return "grub" if sources else "grub-plain", said
    return _kind_without_grub(host)


def _kind_without_grub(host: Reader) -> tuple[str, ...]:
    for path in ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"):
        if _there(host, path):
            return "grub-plain" if not host.list(DROP_INS) else "grub", f"{path} exists"
    for path in ("/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries"):
        if _there(host, path):
            return "systemd-boot", f"{path} exists and no GRUB does"
    for path in ("/boot/extlinux/extlinux.conf", "/boot/syslinux/syslinux.cfg"):
        if _there(host, path):
            return "extlinux", f"{path} exists"
    return "", "no grub-mkconfig, no grub.cfg, no /boot/loader/entries"


def loader_info(host: Reader) -> str:
    """What the boot loader told the firmware of itself, as `systemd-boot 252.38`; "" where it said nothing."""
    try:
        data = host.read_bytes(_LOADER_INFO)
    except Unreadable:
        return ""  # an optional witness: the files tell as well
    return (data or b"")[4:].decode("utf-16-le", "replace").strip("\0")


def _places(*programs: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{program}" for program in programs for folder in ("/usr/sbin", "/usr/bin"))


def _program(host: Reader, name: str) -> bool:
    return any(host.stat(path) for path in _places(name))


def _there(host: Reader, path: str) -> bool:
    try:
        return host.stat(path) is not None
    except Unreadable:
        return False  # below a directory that is closed to us: not a reason for anything


def _absent(host: Reader, path: str) -> bool:
    try:
        return host.stat(path) is None
    except Unreadable:
        return False


def _quiet(host: Reader, path: str) -> str | None:
    try:
        return host.read(path)
    except Unreadable:
        return None  # GrubConfig tells why


def read_grub_config(host: Reader) -> GrubConfig:
    paths = (DEFAULTS, *glob(host, DROP_INS, ".cfg"))
    return parse_grub_config([(path, text) for path in paths if (text := host.read(path)) is not None])


def parse_grub_config(files: list[tuple[str, str]]) -> GrubConfig:
    """files: (path, text) in sourcing order."""
    foreign = [(path, text) for path, text in files if not is_ours(path, text)]
    evaluation = grub.evaluate(files)
    own = tuple(path for path, text in files if is_ours(path, text))
    without = grub.evaluate(foreign) if own else evaluation
    return GrubConfig(
        files=tuple(path for path, _ in files),
        evaluation=evaluation,
        arguments=_arguments(evaluation, own),
        foreign=_arguments(without, ()),
        ours=bool(own),
        carriage_returns=tuple(path for path, text in files if "\r\n" in text),
        initrdless=bool(evaluation.value("GRUB_FORCE_PARTUUID").text),
    )


def is_ours(path: str, text: str) -> bool:
    return path == OURS and MARK.lower() in text.lower()


def _arguments(evaluation: grub.Evaluation, own: tuple[str, ...]) -> tuple[Argument, ...]:
    found = []
    for name in grub.NORMAL_ENTRIES:
        value = evaluation.value(name)
        for offset, text in cmdline.split(value.text):
            origin = value.origin(offset) or grub.Origin(DEFAULTS, 0)
            found.append(Argument(text, origin.path, origin.line, origin.path in own))
    return tuple(found)


def read_hugepages(host: Reader) -> Hugepages:
    nodes = [name for name in host.list(_NODES) or () if re.fullmatch(r"node\d+", name)]
    found = []
    for name in host.list(_PAGES) or ():
        if size := _SIZE.fullmatch(name):
            on = {int(node[4:]): _number(host, f"{_NODES}/{node}/hugepages/{name}/nr_hugepages") for node in nodes}
            total, free = (_number(host, f"{_PAGES}/{name}/{what}_hugepages") for what in ("nr", "free"))
            found.append(PageSize(int(size[1]), total, free, on))
    return Hugepages(tuple(sorted(found, key=lambda size: size.size_kib)))


def _number(host: Reader, path: str) -> int:
    text = (host.read(path) or "0").strip()
    if not text.isdecimal():
        raise Unreadable(path, f"holds {text[:20]!r}, no number")
    return int(text)


PROBES = (
    Probe(CommandLine, read_command_line),
    Probe(BootLoader, read_loader),
    Probe(GrubConfig, read_grub_config),
    Probe(Hugepages, read_hugepages),
)
