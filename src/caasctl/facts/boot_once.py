"""Whether GRUB can start an entry once and forget it again, which a trial boot needs, and what it is to start once."""

from __future__ import annotations

import re

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax import grub_menu
from caasctl.syntax.grub_menu import trial

_MENUS = (("/boot/grub/grub.cfg", "grub"), ("/boot/grub2/grub.cfg", "grub2"))
_SIGNATURE = "# GRUB Environment Block\n"
_WRITABLE = frozenset(
    {"ext2", "xfs", "fat", "exfat"}
)  # by GRUB's names; it overwrites blocks in place, and knows no journal
_RETRIED = re.compile(r"^\s*set partuuid=\S|GRUB_FORCE_PARTUUID", re.MULTILINE)  # Ubuntu's 00_header: prev_entry
_PROBE_S = 30.0  # it looks at every disk for parts of volume groups


@dataclass(frozen=True)
class OneTimeEntry:
    """GRUB's way to start a menu entry once: `next_entry` in grubenv, which GRUB itself must take out at that boot.

    environment: the grubenv. next_entry: what it is to start once, "" nothing. obstacle: why that does not work here,
    in a clause, "" where it does; no change of ours moves it.
    """

    environment: str
    next_entry: str = ""
    obstacle: str = ""


def read_one_time_entry(host: Reader) -> OneTimeEntry:
    for config, programs in _MENUS:
        text = host.read(config)
        if text is not None:
            folder = config.rpartition("/")[0]
            environment = f"{folder}/grubenv"
            there = host.stat(environment, follow=False)
            if there is None or there.kind is not FileKind.FILE:
                how = "is a link or no plain file, which GRUB does not follow" if there else "is not there"
                return OneTimeEntry(environment, obstacle=f"{environment} {how}")
            block = host.read(environment) or ""
            obstacle = _unfit(text, environment, block) or _absent(host, programs) or _closed(host, folder, programs)
            return OneTimeEntry(environment, grub_menu.environment(block).get(trial.NEXT, ""), obstacle)
    return OneTimeEntry("", obstacle="there is no grub.cfg yet")


def _unfit(config: str, environment: str, block: str) -> str:
    """What in the menu or in grubenv stands in the way."""
    menu = grub_menu.parse(config)
    lasting = menu.lasting(grub_menu.environment(block))
    if not block.startswith(_SIGNATURE):
        return f"{environment} is no environment block of GRUB's"
    if menu.blscfg:
        return "the menu's entries come from /boot/loader/entries"
    if f"save_env {trial.NEXT}" not in config:
        return "grub.cfg does not look at next_entry"
    if _RETRIED.search(config):
        return "GRUB starts an entry a second time that failed without an initramfs (GRUB_FORCE_PARTUUID)"
    if lasting is None or not lasting.normal or not trial.retold(lasting, (), ()):
        title = f" ({lasting.title!r})" if lasting else ""
        return f"the entry that boots by default{title} is none that /etc/grub.d/10_linux made"
    return ""


def _absent(host: Reader, programs: str) -> str:
    for name in (f"{programs}-reboot", f"{programs}-editenv"):
        if not any(host.stat(f"{folder}/{name}") for folder in ("/usr/sbin", "/usr/bin")):
            return f"{name} is not there"
    return ""


def _closed(host: Reader, folder: str, programs: str) -> str:
    """What the folder lies on, where GRUB only reads that. Raises Unreadable where grub-probe does not tell."""
    layers = _asked(host, f"{programs}-probe", "abstraction", folder)
    if layers:
        return f"GRUB cannot write to {folder}, which lies on {' '.join(layers)}"
    (kind, *_) = _asked(host, f"{programs}-probe", "fs", folder) or ("a file system that grub-probe does not name",)
    return "" if kind in _WRITABLE else f"GRUB cannot write to {folder}, which lies on {kind}"


def _asked(host: Reader, probe: str, target: str, folder: str) -> tuple[str, ...]:
    done = host.query(probe, f"--target={target}", folder, timeout_s=_PROBE_S)
    if not done.ok:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.rc}"])[-1]
        raise Unreadable(probe, "is not there" if done.missing else said)
    return tuple(done.stdout.split())


PROBES = (Probe(OneTimeEntry, read_one_time_entry),)
