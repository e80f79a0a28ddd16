"""Prints what init-node costs on a node where nothing has to change, beside an Ansible playbook that manages the same files: as root, python bench/converged.py [ROUNDS].

The node is one of stand-ins in namespaces (tests/cluster); both run in it. The playbook copies files and no more: it asks no
program, reads no kernel value and judges nothing, all of which init-node does. It gathers no facts.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.cost import beside
from tests.cluster.host import ENVIRONMENT, Host, programs
from tests.lab import ansible

SET = ("--set", "runtimes=[runc]")


def caasctl(*words: str) -> list[str]:
    return [sys.executable, "-m", "caasctl", *words, *SET]


def playbook(host: Host, folder: Path) -> Path:
    """With a copy of each file that the phases write."""
    rendered = folder / "rendered"
    host.run(*caasctl("render", "--out", str(rendered)))
    tasks = []
    for at, wanted in enumerate(sorted(path for path in rendered.rglob("*") if path.is_file())):
        path = f"/{wanted.relative_to(rendered)}"
        if not host.path(path).is_file():
            continue
        (folder / str(at)).write_bytes(host.path(path).read_bytes())
        copied = {"src": str(folder / str(at)), "dest": path, "mode": f"{host.path(path).stat().st_mode & 0o777:04o}", "owner": "root", "group": "root"}  # fmt: skip
        tasks.append({"name": f"File {path}", "ansible.builtin.copy": copied})
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (folder / "playbook.json").write_text(json.dumps(play))
    print(f"{len(tasks)} files")
    return folder / "playbook.json"


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="caasctl-bench-") as folder:
        (work := Path(folder) / "node").mkdir()
        host = Host(programs(work))
        try:
            measure(host, Path(folder), rounds)
        finally:
            host.close()


def measure(host: Host, folder: Path, rounds: int) -> None:
    made = host.run(*caasctl("init-node", "--yes"))
    if made.returncode:
        raise SystemExit(made.stdout + made.stderr)
    inside = ["nsenter", "-t", str(host.pid), "-m", "-n", "-u", "-p", "--"]
    play = [str(ansible.fetch() / "ansible-playbook"), "-i", "localhost,", str(playbook(host, folder))]
    environment = {
        **ENVIRONMENT,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
    }
    beside({"ansible-playbook, the same files": [*inside, *play], "caasctl init-node, converged": [*inside, *caasctl("init-node", "--yes")]},
           rounds, environment)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
