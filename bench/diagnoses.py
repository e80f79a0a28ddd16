"""How often doctor names the causes: every failure of tests/hosts/failures.py, all pairs that one node can show, and some triples.

`PYTHONPATH=src:. python bench/diagnoses.py`: recall is the share of causes that were named, precision the share of named ones that are.
"""

from __future__ import annotations

import tempfile
from itertools import combinations
from pathlib import Path

from tests.hosts.failures import FAILURES, together
from tests.hosts.sick import Sick

from caasctl import doctoring
from caasctl.commands import Session

EVERY = {1: 1, 2: 1, 3: 6}  # of the combinations of so many, each how manieth


def roots(names: tuple[str, ...]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        node = Sick(Path(folder))
        for name in names:
            FAILURES[name].happen(node)
        found = doctoring.examine(Session("single-node", (), node.done()), doctoring.Asked()).diagnosis
    return [root.sign.id for root in found.roots]


def main() -> None:
    for size, step in EVERY.items():
        named = wrong = missed = first = 0
        cases = [names for names in combinations(FAILURES, size) if together(*names)][::step]
        for names in cases:
            found = roots(names)
            right = {one for name in names for one in FAILURES[name].root}
            hits = sum(bool(set(found) & set(FAILURES[name].root)) for name in names)
            named, missed = named + hits, missed + len(names) - hits
            wrong += len([one for one in found if one not in right])
            first += bool(found) and found[0] in right
        print(f"{size} at once: {len(cases)} nodes, recall {named / (named + missed):.3f}, precision {named / (named + wrong):.3f}, "
              f"a cause named first on {first}")  # fmt: skip


if __name__ == "__main__":
    main()
