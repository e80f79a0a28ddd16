"""What the caller has in his environment, limits and folder makes no difference to what runs, is written or is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import caasctl

SOURCE = str(Path(caasctl.__file__).parents[1])
FACTS = str(Path(__file__).parent / "hosts/debian12-plain-vm")
BARE = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": SOURCE}
NONE = "/nonexistent"
HOSTILE: dict[str, dict[str, str | None]] = {
    "preload": {"LD_PRELOAD": f"{NONE}/evil.so", "LD_LIBRARY_PATH": NONE},
    "Turkish": {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"},
    "ASCII": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX", "LANGUAGE": "de"},
    "no such locale": {"LC_ALL": "xx_YY.KOI8-R"},
    "no locale": {"LC_ALL": None},
    "no home": {"HOME": None},
    "no such home": {"HOME": NONE},
    "odd clock": {"TZ": "Nowhere/../../etc/passwd"},
    "shell": {"IFS": "/", "ENV": NONE, "BASH_ENV": NONE, "CDPATH": "/tmp", "PS4": "$(touch /tmp/x)"},
    "clients": {"KUBECONFIG": f"{NONE}:{NONE}", "HELM_KUBECONTEXT": "x", "HELM_NAMESPACE": "x", "KUBERNETES_MASTER": "http://x", "CONTAINER_RUNTIME_ENDPOINT": "x"},
    "Python": {"PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": NONE, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "always", "PYTHONUTF8": "0"},
    "temporary files": {"TMPDIR": NONE},
    "terminal": {"TERM": "xx", "COLUMNS": "0", "LINES": "-1"},
    "nothing": dict.fromkeys(("PATH", "LC_ALL")),
}  # fmt: skip
TRY = """
import sys
from caasctl.host import LiveHost
host = LiveHost()
how = host.execute if sys.argv[1] == "execute" else host.query
print(how("sh", "-c", "env | sort; ulimit -c; pwd; readlink /proc/self/fd/0; command -v true").stdout)
"""


def run(*argv: str, change: dict[str, str | None] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in {**BARE, **(change or {})}.items() if value is not None}
    return subprocess.run(
        (sys.executable, *argv), env=kept, capture_output=True, text=True, check=False, cwd="/", **more
    )


def stable(text: str) -> Any:
    """A report without its times."""
    if isinstance(data := json.loads(text), dict):
        data.pop("startedAt")
    return without_durations(data)


def without_durations(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_durations(each) for key, each in value.items() if key != "durationMs"}
    return [without_durations(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def usual() -> Any:
    return stable(run("-m", "caasctl", "init-node", "--dry-run", "--facts", FACTS, "-o", "json").stdout)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_same_is_said_whatever_the_callers_environment_is(hostile: str, usual: Any) -> None:
    done = run("-m", "caasctl", "init-node", "--dry-run", "--facts", FACTS, "-o", "json", change=HOSTILE[hostile])
    assert stable(done.stdout) == usual
    assert "Traceback" not in done.stderr
    assert run("-m", "caasctl", "preflight", "--facts", FACTS, change=HOSTILE[hostile]).returncode == 1


@pytest.mark.parametrize("how", ["query", "execute"])
def test_commands_get_an_environment_of_their_own(how: str, tmp_path: Path) -> None:
    for name in ("env", "sh", "true"):
        (tmp_path / name).write_text("#!/bin/sh\necho evil\n")
        (tmp_path / name).chmod(0o755)
    evil = {
        name: value
        for change in HOSTILE.values()
        for name, value in change.items()
        if value is not None and not name.startswith("PYTHON")
    }
    done = run(
        "-c",
        TRY,
        how,
        change={**evil, "PATH": f"{tmp_path}:{BARE['PATH']}", "HTTPS_PROXY": "http://me:x@proxy"},
        input="typed",
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert "evil" not in said
    assert {line.partition("=")[0] for line in said if "=" in line} <= {
        "PATH",
        "LC_ALL",
        "HOME",
        "DEBIAN_FRONTEND",
        "NEEDRESTART_MODE",
        "APT_LISTCHANGES_FRONTEND",
        "KUBECACHEDIR",
        "HELM_CACHE_HOME",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }
    assert {"LC_ALL=C.UTF-8", "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} <= set(
        said
    )
    assert "/" in said  # the folder


@pytest.mark.root
def test_programs_that_the_caller_put_first_are_not_run(tmp_path: Path) -> None:
    for name in ("systemctl", "ip", "kubectl", "containerd", "sysctl", "ss", "ctr", "nft", "grubby", "helm", "kubeadm"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
        (tmp_path / name).chmod(0o755)
    done = run("-m", "caasctl", "preflight", "-o", "json", change={"PATH": f"{tmp_path}:{BARE['PATH']}"})
    assert json.loads(done.stdout)["results"]
    assert not (tmp_path / "called").exists()


def test_modules_in_the_callers_folder_are_not_loaded(tmp_path: Path) -> None:
    """As the command is installed: a script of its own; `python -m` looks in the current folder first."""
    for name in ("typer", "yaml", "sh", "rich", "json", "caasctl", "readline", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w').close()\n")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "caasctl").write_text(
        f"#!{sys.executable}\nimport sys\nfrom caasctl.__main__ import main\nsys.exit(main())\n"
    )
    done = subprocess.run(
        (sys.executable, str(bin_folder / "caasctl"), "version"),
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.startswith("caasctl "), done.stderr
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize("limit", ["-n 16", "-f 0", "-s 256", "-c 0"])
def test_small_limits_end_in_a_sentence_at_worst(limit: str, tmp_path: Path) -> None:
    for words in (
        f"preflight --facts {FACTS} -o json",
        f"facts --facts {FACTS} --record {tmp_path}/out{limit[1]}.tar.gz",
        "preflight",
    ):
        done = subprocess.run(("sh", "-c", f'ulimit {limit}; exec "$0" -B -m caasctl {words}', sys.executable), env=BARE, capture_output=True,
                              text=True, check=False, cwd="/")  # fmt: skip
        assert done.returncode in (0, 1, 3, 6), done.stderr
        assert "Traceback" not in done.stderr
        assert "bug" not in done.stderr
    assert not list(tmp_path.glob(".caasctl*"))


@pytest.mark.root
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    shell = f'exec "$0" -m caasctl facts --facts {FACTS} --record {tmp_path}/out {closed}'
    done = subprocess.run(("sh", "-c", shell, sys.executable), env=BARE, check=False, cwd="/", capture_output=True)
    assert done.returncode == 0
    texts = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file() and not path.is_symlink()]
    assert texts
    assert not any(b"recorded in" in text for text in texts)


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("init-node", "there is no terminal to ask on"),
        ("join-node --token-file - --dry-run", "standard input is closed"),
    ],
)
def test_without_a_standard_input_nothing_is_asked_of_it(words: str, told: str) -> None:
    for closed in ("<&-", "<&- >&-"):
        shell = f'exec "$0" -m caasctl {words} {closed}'
        done = subprocess.run(("sh", "-c", shell, sys.executable), env=BARE, check=False, cwd="/", capture_output=True, text=True)  # fmt: skip
        assert (done.returncode, told in done.stderr) == (2, True), done.stderr
