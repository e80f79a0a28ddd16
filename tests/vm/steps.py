"""What tests on booted nodes do and look at, one sentence each."""

from __future__ import annotations

import difflib
import json
import time
from typing import Any

from tests.vm.machine import Machine, Said

from caasctl.host.processes import NO_ANSWER

PROFILE = "--profile /etc/caasctl/lab.yaml"
INIT = f"caasctl init-node --yes {PROFILE}"
DROP_IN, TRIAL = "/etc/default/grub.d/zz-caasctl.cfg", "/etc/grub.d/42_caasctl_trial"
PAUSE = "registry.k8s.io/pause:3.10.2"
UNCHANGED = "Converged: nothing had to change"
_SETTLES_S = 180
_ASKED = 4  # times, at most


def said(machine: Machine, command: str, rc: int) -> Said:
    """A command that must end with this exit status."""
    done = machine.run(command)
    assert done.rc == rc, f"{command}: exit status {done.rc}\n{done.out[-4000:]}\n{done.err[-4000:]}"
    return done


def preflight(machine: Machine) -> list[dict[str, Any]]:
    """The findings that fail, or that cannot be known: what an emulated node could not be asked in time is asked again."""
    for _ in range(_ASKED):
        found = json.loads(machine.run(f"caasctl preflight {PROFILE} -o json").out)["results"]
        left = [one for one in found if one["level"] in {"fail", "unknown"}]
        if not any(one["level"] == "unknown" and NO_ANSWER in one["found"] for one in left):
            break
    print(*(f"{one['id']}: {one['found']}" for one in left if one["level"] == "unknown"), sep="\n")  # where it fails
    return left


def arguments(machine: Machine) -> set[str]:
    """Of the running kernel."""
    return set(machine.sh("cat /proc/cmdline").split())


def there(machine: Machine, path: str) -> bool:
    return machine.run(f"test -e {path}").rc == 0


def serves(machine: Machine, config_version: int) -> None:
    """containerd runs on what caasctl wrote, and a pod that its CRI starts is in scopes of systemd below kubepods.slice."""
    assert machine.sh("ctr plugins ls id==cri | grep -c ' ok '").strip() != "0"
    config = machine.sh("containerd config dump")
    assert f"version = {config_version}" in config.splitlines()
    assert "SystemdCgroup = true" in config
    cgroups = machine.sh(f"/opt/standins/lab/bin/python /usr/local/lib/lab/cri.py {PAUSE}").split()
    assert len(cgroups) == 2, cgroups  # the sandbox's pause, and the container
    pod = (
        "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod11111111_2222_3333_4444_555555555555.slice"
    )
    assert all(one.startswith(f"{pod}/cri-containerd-") and one.endswith(".scope") for one in cgroups), cgroups


def is_a_node(machine: Machine) -> None:
    """kubeadm's and Cilium's stand-ins were given what they take, and nothing failed."""
    failed = machine.sh("systemctl --failed --no-legend").strip()
    assert failed == "", failed + machine.run("journalctl -b -p warning --no-pager | tail -30").out
    node = json.loads(machine.sh("kubectl --cache-dir /run/lab get node node1 -o json"))
    assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
    history = json.loads(
        machine.sh("helm --kubeconfig /etc/kubernetes/admin.conf -n kube-system history cilium -o json")
    )
    assert history[-1]["status"] == "deployed"


def smokes(machine: Machine) -> None:
    """A pod that the kubelet's stand-in runs proves its kernel, the cluster's names and the service network, and is gone then."""
    told = said(machine, f"caasctl smoke {PROFILE} -o json", 0)
    passed = {one["id"] for one in json.loads(told.out)["results"] if one["level"] == "pass"}
    assert passed == {"smoke.runs", "smoke.kernel", "smoke.names", "smoke.service_network"}, told.out
    assert "smoke" not in machine.sh("kubectl --cache-dir /run/lab get namespaces -o name")


def is_well(machine: Machine) -> None:
    """Doctor finds nothing on a node that has just been made, once what its last step began has come to its end.

    What a slow machine could not be asked in time is unknown, and keeps what was said in the first minute unexplained.
    """
    deadline = time.monotonic() + _SETTLES_S
    while wrong := _wrong(machine):
        assert time.monotonic() < deadline, wrong
        time.sleep(5)


def _wrong(machine: Machine) -> list[str]:
    report = json.loads(machine.run(f"caasctl doctor {PROFILE} -o json").out)
    found, unasked = report["diagnosis"], report["summary"]["unknown"]
    parts = ("roots", "beside") if unasked else ("roots", "beside", "unexplained")
    return [f"{part}: {one['id']}: {one['found']}" for part in parts for one in found[part]]


def small_images(machine: Machine) -> None:
    """An initramfs of what this node needs is made in a third of the time, on an emulated processor."""
    machine.sh("echo MODULES=dep >/etc/initramfs-tools/conf.d/lab")


def started(machine: Machine) -> dict[str, str]:
    """When the daemons that caasctl restarts came up last."""
    units = ("containerd", "kubelet")
    return {unit: machine.sh(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}").strip() for unit in units}


def rests(machine: Machine) -> None:
    """Another run changes nothing, and restarts nothing."""
    before = started(machine)
    assert UNCHANGED in said(machine, INIT, 0).text
    assert started(machine) == before


def comes_up(machine: Machine) -> None:
    """Right after a boot init-node waits for what is on its way, and changes nothing: its control plane may be late."""
    assert UNCHANGED in said(machine, INIT, 0).text


def differences(before: list[str], after: list[str], but: str = "\0") -> list[str]:
    """Lines of manifests that came or went. but: a path whose lines may."""
    found = difflib.unified_diff(before, after, n=0, lineterm="")
    return [
        line for line in found if line[:1] in "+-" and line[:3] not in {"+++", "---"} and line[1:] and but not in line
    ]


def manifest(machine: Machine) -> list[str]:
    return machine.sh("python3 /usr/local/lib/lab/manifest.py").splitlines()
