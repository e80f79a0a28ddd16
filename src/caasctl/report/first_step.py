"""Which fix can stand as `Next:`: one that a shell takes as it stands and that takes nothing away."""

from __future__ import annotations

import re
import shlex

from caasctl.model import Fix, FixKind, Report

_PROGRAM = re.compile(
    r"(?:sudo )?(?:apt-get|caasctl|chmod|chown|chronyc|crictl|dmesg|dnf|du|echo|grep|hostnamectl|install -|ip|journalctl|kubeadm|kubectl|ln|ls|lspci|"
    r"modprobe|mv|resolvectl|sed|swapoff|sysctl|systemctl|tail|timedatectl|ufw)(?: |-|$)"
)
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_BETWEEN = re.compile(r"\s*(?:&&|\|\||;|\|)\s*")
_PROSE = re.compile(
    r"`|\n|, [a-z]|\b(?:[A-Z]{2,}|[A-Z]\.[A-Z])\b(?![=_/.-])|: "
)  # words to read, or a word to put in place
# what ends pods, data or the session of whoever pastes it: read the fix first
_TAKES = re.compile(
    r"\b(?:p?kill(?:all)?|rm|rmp|rmi|stopp?|reset|delete|drain|cordon|purge|remove|autoremove|uninstall|reboot|poweroff|disable|mask|flush|upgrade|full-upgrade"
    r"|undo|kexec|--force|--allowerasing)\b"
)
_INIT = re.compile(r"caasctl init-node(?! --dry-run)")


def first_step(fix: Fix | None) -> str:
    """The command, "" where the fix has to be read. What init-node would do is shown before it is done."""
    if fix is None or fix.kind is not FixKind.COMMAND:
        return ""
    text = fix.text.partition("   #")[0].strip()
    plain = _QUOTED.sub("_", text)
    if _PROSE.search(plain) or _TAKES.search(text) or not all(map(_PROGRAM.match, _BETWEEN.split(plain))):
        return ""
    return _INIT.sub("caasctl init-node --dry-run", text)


def with_log(further: str, report: Report) -> str:
    """The log that was given in the place of FILE."""
    words = shlex.split(report.command)
    log = next((words[at + 1] for at, word in enumerate(words[:-1]) if word == "--log" and words[at + 1] != "-"), "")
    return further.replace("--log FILE", f"--log {shlex.quote(log)}") if log else further
