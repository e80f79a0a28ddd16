"""The symptom rules that ship, as typed values: what a message means, and what follows from what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from caasctl import formats, shipped
from caasctl.diagnosis import Says
from caasctl.doctor.phrases import Phrase, phrase
from caasctl.frozen import dataclass
from caasctl.model import Fix, FixKind

KIND = "symptoms"
_PROGRAM = re.compile(
    r"(?:apt-(?:get|mark)|caasctl|cat|chronyc|containerd|crictl|ctr|curl|d[fu]|dmesg|dpkg|find|findmnt|free|getenforce|grep|grub-(?:editenv|mkconfig)|head|helm|"
    r"hostnamectl|ip|journalctl|kube(?:adm|ctl|let)|ls|lsblk|lspci|mkdir|modprobe|mount|nft|openssl|reboot|resolvectl|rm|ss|sudo|sort|swapoff|sysctl|"
    r"systemctl|systemd-cgls|tail|timedatectl|touch|tr|umount|uname|update-(?:grub|initramfs)|wc)(?: |$)"
)
_BETWEEN = re.compile(r"\s*(?:&&|\|\||;|\|)\s*")
_LEFT_OPEN = re.compile(
    r"\b[A-Z]{2,}\b(?!=)|<[a-z]|--phase [\w-]+ [a-z]|\.\.\.|, [a-z]| \(|: "
)  # NAME, <name>: somebody has to put a word in its place
TEXT = "text"  # the kind of what a user pastes: every rule looks at it


@dataclass(frozen=True)
class Rule:
    """One symptom. match: any of these; unless: not beside one of these. kinds: of lines it is looked for in, () for all.

    telling: 1-9, how much the message says about its cause. sample, near_miss: a text it is seen in, and one it is not.
    """

    id: str
    title: str
    says: Says
    match: tuple[Phrase, ...]
    cause: str
    fix: Fix
    source: str
    unless: tuple[Phrase, ...] = ()
    kinds: tuple[str, ...] = ()
    telling: int = 5
    sample: str = ""
    near_miss: str = ""

    @property
    def topic(self) -> str:
        return self.id.partition(".")[0]

    def looks_at(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds or kind == TEXT


@dataclass(frozen=True)
class Rules:
    """causes: id of a check or symptom -> ids of what follows from it. effects: checks whose failure states no cause."""

    symptoms: tuple[Rule, ...]
    causes: Mapping[str, tuple[str, ...]]
    effects: frozenset[str] = frozenset()

    def find(self, name: str) -> Rule | None:
        return next((rule for rule in self.symptoms if rule.id == name), None)


@cache
def shipped_rules() -> Rules:
    """All topics' rules, in the order of the files and of what is in them."""
    topics = [_topic(name) for name in shipped.names(KIND) if name.endswith(".yaml")]
    causes: dict[str, tuple[str, ...]] = {}
    for topic in topics:
        for name, follows in (topic.get("causes") or {}).items():
            causes[name] = tuple(dict.fromkeys([*causes.get(name, ()), *follows]))
    effects = frozenset(name for topic in topics for name in topic.get("effects") or ())
    return Rules(tuple(_rule(data) for topic in topics for data in topic["symptoms"]), causes, effects)


def _topic(name: str) -> dict[str, Any]:
    data: dict[str, Any] = formats.parse_yaml(shipped.text(KIND, name) or "", name, quick=True)
    return data


def _rule(data: Mapping[str, Any]) -> Rule:
    fix = data["fix"]
    telling = {Says.CAUSE: 7, Says.EFFECT: 4, Says.NOTE: 1}
    says = Says(data["says"])
    return Rule(
        id=data["id"],
        title=data["title"],
        says=says,
        match=tuple(phrase(text) for text in data["match"]),
        cause=data["cause"].strip(),
        fix=Fix(fix["text"].strip(), _kind(fix), bool(fix.get("reboot"))),
        source=data["source"],
        unless=tuple(phrase(text) for text in data.get("unless", ())),
        kinds=tuple(data.get("in", ())),
        telling=data.get("telling", telling[says]),
        sample=data["sample"],
        near_miss=data["near_miss"],
    )


def _kind(fix: Mapping[str, Any]) -> FixKind:
    """As it says; else a command only where a shell would take it as it stands, word for word."""
    parts = _BETWEEN.split(fix["text"].strip())
    pasted = all(map(_PROGRAM.match, parts)) and not _LEFT_OPEN.search(fix["text"])
    return FixKind(fix.get("kind") or ("command" if pasted else "edit"))
