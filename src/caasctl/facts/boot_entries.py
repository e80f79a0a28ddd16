"""The entries that the boot loader will start next: of a generated grub.cfg (readable for root only) or of BLS files."""

from __future__ import annotations

from collections.abc import Mapping

from caasctl.frozen import dataclass
from caasctl.host import glob
from caasctl.protocol import Probe, Reader
from caasctl.syntax import bls, cmdline, grub_menu

_MENUS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_FOLDERS = ("/boot/loader/entries", "/efi/loader/entries", "/boot/efi/loader/entries")


@dataclass(frozen=True)
class BootEntry:
    """An entry that boots this host's Linux. normal: neither for recovery nor for rescue. arguments: in their order."""

    title: str
    kernel: str
    arguments: tuple[str, ...]
    normal: bool = True

    @property
    def tokens(self) -> tuple[cmdline.Token, ...]:
        return cmdline.of_words(self.arguments)


@dataclass(frozen=True)
class BootEntries:
    """source: the grub.cfg or the folder of BLS files, "" where there is neither. default: the one that boots next, None where no Linux would."""

    source: str
    entries: tuple[BootEntry, ...]
    default: BootEntry | None

    @property
    def normal(self) -> tuple[BootEntry, ...]:
        return tuple(entry for entry in self.entries if entry.normal)


def read_entries(host: Reader) -> BootEntries:
    for path in _MENUS:
        text = host.read(path)
        if text is None:
            continue
        menu = grub_menu.parse(text)
        variables = _environment(host, path.rpartition("/")[0])
        return _read_bls(host, variables) if menu.blscfg else of_menu(path, menu, variables)
    return _read_bls(host, _environment(host, "/boot/grub2"))


def of_menu(path: str, menu: grub_menu.Menu, variables: Mapping[str, str]) -> BootEntries:
    booted = menu.booted(variables)
    linux = [entry for entry in menu.entries if entry.kernel]
    return BootEntries(path, tuple(map(_of_grub, linux)), _of_grub(booted) if booted and booted.kernel else None)


def _of_grub(entry: grub_menu.Entry) -> BootEntry:
    return BootEntry(entry.title, entry.kernel, entry.arguments, entry.normal)


def _read_bls(host: Reader, variables: Mapping[str, str]) -> BootEntries:
    for folder in _FOLDERS:
        paths = glob(host, folder, ".conf")
        if paths:
            named = [(path.rpartition("/")[2].removesuffix(".conf"), host.read(path) or "") for path in paths]
            entries = bls.newest_first([bls.parse(name, text) for name, text in named])
            default = _default_of_loader(host, folder)
            return of_bls(folder, [entry for entry in entries if entry.linux], variables, default)
    return BootEntries("", (), None)


def of_bls(folder: str, entries: list[bls.BlsEntry], variables: Mapping[str, str], default: str = "") -> BootEntries:
    booted = bls.booted(entries, variables, default)
    made = {entry.id: _of_bls(entry, variables) for entry in entries}
    return BootEntries(folder, tuple(made.values()), made[booted.id] if booted else None)


def _of_bls(entry: bls.BlsEntry, variables: Mapping[str, str]) -> BootEntry:
    words = tuple(word for _, word in cmdline.split(entry.arguments(variables)))
    return BootEntry(entry.title or entry.id, entry.linux, words, not entry.rescue)


def _default_of_loader(host: Reader, folder: str) -> str:
    """What systemd-boot's loader.conf names as default, "" where nothing or only a pattern."""
    text = host.read(f"{folder.rpartition('/')[0]}/loader.conf") or ""
    named = [line.split(None, 1)[1] for line in text.splitlines() if line.startswith("default ") and line[8:].strip()]
    return named[-1].strip() if named else ""


def _environment(host: Reader, folder: str) -> Mapping[str, str]:
    return grub_menu.environment(host.read(f"{folder}/grubenv") or "")


PROBES = (Probe(BootEntries, read_entries),)
