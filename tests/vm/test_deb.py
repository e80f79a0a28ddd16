"""The Debian package on booted nodes, as their only caasctl: installed by apt, it judges and plans, and goes without a rest."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.ship.conftest import build
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
SUITES = ("bookworm", "trixie")
DEB, PYZ = "/root/caasctl.deb", "/root/caasctl.pyz"


def copy(machine: Machine, source: Path, target: str) -> None:
    with source.open("rb") as given:
        subprocess.run(machine.attach(f"cat >{target}"), stdin=given, check=True)


def without_caasctl(machine: Machine) -> None:
    """The lab's own one goes, with its venv."""
    machine.sh("rm -rf /usr/local/sbin/caasctl /opt/caasctl")
    assert machine.run("caasctl --version").rc == 127


@pytest.fixture(scope="module", params=SUITES)
def machine(request: pytest.FixtureRequest, boot: NewMachine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    started = boot(Kind(request.param))
    without_caasctl(started)
    copy(started, build(tmp_path_factory.mktemp("built"))[".deb"], DEB)
    started.sh(f"DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {DEB}")
    return started


@pytest.mark.minutes(6)
def test_it_judges_and_plans_a_booted_node(machine: Machine) -> None:
    assert machine.sh("caasctl --version").startswith("caasctl ")
    assert machine.sh("command -v caasctl").strip() == "/usr/bin/caasctl"
    before = steps.manifest(machine)
    found = {one["id"] for one in steps.preflight(machine) if not one["fixedBy"]}
    assert found == set()
    planned = machine.run(f"caasctl init-node --dry-run {steps.PROFILE}")
    assert planned.rc in {0, 4}, planned.text
    assert "/etc/sysctl.d/zz-caasctl.conf" in planned.text
    assert steps.differences(before, steps.manifest(machine)) == []


@pytest.mark.minutes(3)
def test_the_zipapp_judges_it_alike_with_the_node_s_own_python(machine: Machine, tmp_path: Path) -> None:
    copy(machine, build(tmp_path)[".pyz"], PYZ)
    whole = json.loads(machine.run(f"python3 {PYZ} preflight -o json {steps.PROFILE}").out)
    theirs = json.loads(machine.run(f"caasctl preflight -o json {steps.PROFILE}").out)
    levels = [{(one["id"], one["subject"], one["level"]) for one in found["results"]} for found in (whole, theirs)]
    assert levels[0] == levels[1] != set()


@pytest.mark.minutes(2)
def test_removed_and_purged_there_is_no_rest(machine: Machine) -> None:
    machine.sh("DEBIAN_FRONTEND=noninteractive apt-get purge --yes caasctl")
    left = "find / -xdev -name '*caasctl*' -not -path '/proc/*' -not -path '/var/log/*' -not -path '/var/lib/*' -not -path '/etc/caasctl*' -not -path '/root/*' -not -path '/var/cache/*' -not -path '/opt/standins/*'"
    assert machine.sh(left) == ""
    assert machine.run("caasctl --version").rc == 127
