"""Whether a node is judged by the profile that it was made by."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from caasctl.facts.made_by import PATH, MadeBy
from caasctl.model import Check, Facts, Finding, Fix, check, passed, warned
from caasctl.profile import NodeProfile


@check(
    "os.made_by",
    "The profile is the one that this node was made by",
    reads=(MadeBy,),
    why="Judged by another profile a sound node looks broken: what the two say differently reads like a fault, and init-node would change it.",
    fix="Give the profile that the node was made by; another one on purpose changes what the plan says.",
    source=f"{PATH}, of the last init-node or join-node on the host",
)
def made_by(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """/var/lib/caasctl/made-by.json against the profile of this run."""
    made = facts[MadeBy]
    if not made.word:
        return
    if made.name == profile.metadata.name:
        yield passed(f"{made.name}, as the {made.word} of {made.at[:10]}")
        return
    yield warned(
        f"made by the profile {made.name} (`caasctl {made.word}` of {made.at[:10]}), judged by {profile.metadata.name}",
        wanted=made.name,
        fix=Fix(f"caasctl preflight {shlex.join(made.options)}"),
    )


CHECKS: tuple[Check, ...] = (made_by,)
