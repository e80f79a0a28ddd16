"""A Diagnosis as the HTML report shows it: each root with what follows from it as a tree, and every sign with its anchor."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from caasctl.diagnosis import Diagnosis, Follow, Link, Root, Sign
from caasctl.hidden import masked
from caasctl.report import data

Anchor = Callable[[str], str]
_SIGNS = (
    ("beside", "Wrong as well", "", "This does not hold, but nothing that was seen follows from it."),
    ("unexplained", "Not explained", "", "This was seen, and what brought it about was not. Most telling first."),
    ("over", "Over", "pass", "This was said, and what it would bring about is well now."),
    ("notes", "Reads like trouble and is none", "skipped", "This is normal on a node in this state, or means nothing."),
)
_TABLES = (
    ("undetermined", "Not determined", "This could matter, and could not be looked at."),
    ("ruled_out", "Ruled out", "This could have been the cause of something seen, and is not."),
)


def told(found: Diagnosis, anchor: Anchor) -> data.Data:
    """All parts that have something to say, in the order of the page."""
    return {
        "roots": [_root(root, anchor) for root in found.roots],
        "sections": [
            {"id": _slug(part), "title": title, "tone": tone, "lead": lead, "signs": [_root(each, anchor) for each in getattr(found, part)]}
            for part, title, tone, lead in _SIGNS if getattr(found, part)
        ],
        "chain": steps(found.chain),
        "timeline": [{"at": time(moment.at), "id": moment.id, "said": masked(moment.said)} for moment in found.timeline],
        "tables": [
            {"id": _slug(part), "title": title, "lead": lead, "rows": [
                {"id": each.id, "title": each.title, "found": masked(each.found)} for each in getattr(found, part)]}
            for part, title, lead in _TABLES if getattr(found, part)
        ] + _strange(found),
        "collect": list(found.collect),
        "lookedAt": list(found.looked_at),
    }  # fmt: skip


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
    rows = [{"id": line.source, "title": time(line.at), "found": masked(line.text)} for line in found.unknown_lines]
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
        "found": masked(found["found"]),
        "anchor": anchor(sign.id),
        "when": _when(sign),
        "checked": sign.checked,
    }
    same = [seen for seen in found["evidence"] if seen["excerpt"] == own["found"]]
    rest = [seen for seen in found["evidence"] if seen not in same]
    return {**own, "evidence": rest, "seenIn": ", ".join(seen["source"] for seen in same), "follows": [], "count": 0}


def _when(sign: Sign) -> str:
    often = f"{sign.times} times" if sign.times > 1 else ""
    first, last = time(sign.first), time(sign.last)
    day = first.partition(" ")[0] + " "
    span = f"{first} to {last.removeprefix(day)}" if first and last and first != last else first or last
    return ", ".join(said for said in (often, span) if said)


def time(at: str) -> str:
    """2026-11-23 02:11:07 of 2026-11-23T02:11:07Z or with an offset of nothing."""
    return at.replace("T", " ", 1).removesuffix("Z").removesuffix("+00:00")


def _slug(part: str) -> str:
    return part.replace("_", "-")
