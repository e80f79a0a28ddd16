"""A Diagnosis as the HTML report shows it: each root with what follows from it as a tree, and every sign with its anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from caasctl.diagnosis import Diagnosis, Follow, Link, Root, RuledOut, Sign
from caasctl.hidden import masked
from caasctl.report import data

Anchor = Callable[[str], str]
_IN_FULL = 3  # roots that nothing seen follows from; more of them open with a click
_SIGNS = (
    ("unexplained", "Unexplained", "", "This was seen, and no cause of it was. Most telling first."),
    ("beside", "Also not right", "", "Nothing that was seen follows from it."),
    ("notes", "No cause for alarm", "skipped", "This reads like trouble and is none."),
    ("over", "Was, and is over", "pass", "This was said, and what it would bring about is well now."),
)
_TABLES = (
    (
        "changed",
        "Changed since caasctl made it",
        "`caasctl init-node --dry-run --phase PHASE`, with this report's profile and settings, shows how.",
    ),
    ("undetermined", "Not looked at, and could matter", "Each with what stood in the way."),
    ("keys", "Who set containerd's keys", "Key, file, value in effect and what became of the values of other files."),
    ("ruled_out", "Ruled out", "This could have been the cause of something seen, and is not."),
)


def told(found: Diagnosis, anchor: Anchor) -> data.Data:
    """All parts that have something to say, in the order of the page."""
    signs = [_part(each, getattr(found, each[0]), anchor) for each in _SIGNS if getattr(found, each[0])]
    tables = [_table(each, getattr(found, each[0])) for each in _TABLES if getattr(found, each[0])]
    timeline = [{"at": time(one.at), "id": one.id, "said": masked(one.said)} for one in found.timeline]
    return {
        "roots": list(_roots(found.roots, anchor)),
        "sections": signs,
        "chain": steps(found.chain),
        "timeline": timeline,
        "tables": _strange(found) + tables,
        "collect": list(found.collect),
        "lookedAt": [f"{found.rules} symptom rules", *found.looked_at],
    }


def _part(part: tuple[str, str, str, str], found: Iterable[Root | Sign], anchor: Anchor) -> data.Data:
    name, title, tone, lead = part
    return {"id": name, "title": title, "tone": tone, "lead": lead, "signs": [_root(each, anchor) for each in found]}


def _table(part: tuple[str, str, str], found: Iterable[RuledOut]) -> data.Data:
    name, title, lead = part
    rows = [{"id": each.id, "title": each.title, "found": masked(each.found)} for each in found]
    return {"id": name.replace("_", "-"), "title": title, "lead": lead, "rows": rows}


def _roots(found: Iterable[Root], anchor: Anchor) -> Iterable[data.Data]:
    alone = 0
    for root in found:
        alone += root.sign.checked and not root.follows
        yield {**_root(root, anchor), "folded": alone > _IN_FULL and root.sign.checked and not root.follows}


def shown(told_of: data.Data) -> frozenset[str]:
    """The ids of all signs that are told in full."""
    every = [*told_of["roots"], *(sign for section in told_of["sections"] for sign in section["signs"])]
    return frozenset(each for sign in every for each in _ids(sign))


def steps(chain: Iterable[Link]) -> list[data.Data]:
    """Each with its state: ok, broken, unknown, or behind the broken one."""
    said: list[data.Data] = []
    for link in chain:
        behind = any(each["state"] in ("broken", "behind") for each in said)
        state = "broken" if link.broken else "behind" if behind else "unknown" if link.unknown else "ok"
        said.append({"name": link.name, "found": masked(link.found), "state": state})
    return said


def _ids(sign: data.Data) -> Iterable[str]:
    yield sign["id"]
    for follow in sign["follows"]:
        yield from _ids(follow)


def _strange(found: Diagnosis) -> list[data.Data]:
    rows = [
        {"id": line.source, "title": _often(line.times, line.at, line.at), "found": masked(line.text)}
        for line in found.unknown_lines
    ]
    lead = "These lines sound like trouble, and no rule knows them. Rarest first."
    return [{"id": "lines", "title": "Lines that no rule knows", "lead": lead, "rows": rows}] if rows else []


def _root(one: Root | Sign, anchor: Anchor) -> data.Data:
    if isinstance(one, Sign):
        return _sign(one, anchor)
    left: dict[str, list[Follow]] = {}
    for follow in one.follows:
        left.setdefault(follow.by, []).append(follow)
    whole = _branch(one.sign, left, anchor)
    for follows in list(left.values()):  # what follows from something that is not here stands below the root itself
        whole["follows"] += [_branch(follow.sign, left, anchor) for follow in follows]
    return {**whole, "count": len(one.follows)}


def _branch(sign: Sign, left: dict[str, list[Follow]], anchor: Anchor) -> data.Data:
    said = _sign(sign, anchor)
    said["follows"] = [_branch(follow.sign, left, anchor) for follow in left.pop(sign.id, [])]
    return said


def _sign(sign: Sign, anchor: Anchor) -> data.Data:
    """What a program said is its own evidence: then its source alone is told beside it."""
    found = data.result(sign.finding)
    own = {
        **found,
        "anchor": anchor(sign.id),
        "when": _often(sign.times, sign.first, sign.last),
        "checked": sign.checked,
    }
    same = [seen for seen in found["evidence"] if seen["excerpt"] == own["found"]]
    rest = [seen for seen in found["evidence"] if seen not in same]
    return {**own, "evidence": rest, "seenIn": ", ".join(seen["source"] for seen in same), "follows": [], "count": 0}


def _often(times: int, first: str, last: str) -> str:
    """`14 times, 2026-11-23 02:02:11 to 02:40:55`."""
    begun, ended = time(first), time(last)
    day = begun.partition(" ")[0] + " "
    span = f"{begun} to {ended.removeprefix(day)}" if begun and ended and begun != ended else begun or ended
    return ", ".join(said for said in (f"{times} times" if times > 1 else "", span) if said)


def time(at: str) -> str:
    """2026-11-23 02:11:07 of 2026-11-23T02:11:07Z or with an offset of nothing."""
    return at.replace("T", " ", 1).removesuffix("Z").removesuffix("+00:00")
