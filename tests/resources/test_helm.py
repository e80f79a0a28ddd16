"""HelmRelease on a stand-in cluster: installed, killed everywhere, mended, refused, waited for, taken back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import Killed
from tests.standins.cluster import Cluster

from caasctl.formats import dump_yaml
from caasctl.host import LiveHost
from caasctl.model import CaasError, CommandError, RefusedError
from caasctl.protocol import Absent, Completed, Done, Known, State, Unknown
from caasctl.resources.files import File
from caasctl.resources.helm import lifeline
from caasctl.resources.helm.commands import Chart
from caasctl.resources.helm.release import HelmRelease
from caasctl.resources.helm.watch import Patience

FILE = "/etc/kubernetes/caasctl/cilium-values.yaml"
POOL = {"clusterPoolIPv4PodCIDRList": ["10.244.0.0/16"], "clusterPoolIPv4MaskSize": 24}
VALUES: dict[str, Any] = {"ipam": {"mode": "cluster-pool", "operator": POOL}, "operator": {"replicas": 1}}
QUICK = Patience(deadline_s=0.05, poll_s=0.001, repeat_s=0.0)


def release(version: str = "1.20.5", values: Mapping[str, Any] = VALUES, chart: str = "cilium") -> HelmRelease:
    return HelmRelease(
        Chart(chart, "https://helm.cilium.io", version),
        values,
        (File(FILE, dump_yaml(values), 0o600),),
        "192.0.2.10",
        ("192.0.2.10", "10.96.0.0/16"),
        patience=QUICK,
    )


def bring(host: Cluster, wanted: HelmRelease) -> State:
    """As apply does; the state before."""
    now = wanted.look(host)
    assert not isinstance(now, Unknown), now
    if wanted.target(now) != now:
        assert wanted.apply(host, now) == Done()
    return now


def settled(host: Cluster, wanted: HelmRelease) -> bool:
    now = wanted.look(host)
    return isinstance(now, Known) and wanted.target(now) == now


def installed(folder: Path, version: str = "1.20.5", values: Mapping[str, Any] = VALUES) -> Cluster:
    host = Cluster(str(folder)).begin()
    bring(host, release(version, values))
    return Cluster(str(folder))


def test_it_is_installed_and_then_nothing_differs(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path)).begin()
    assert bring(host, release()) == Absent()
    assert settled(host, release())
    assert [argv[:2] for argv in host.commands] == [("helm", "upgrade")]
    assert (tmp_path / FILE[1:]).stat().st_mode & 0o777 == 0o600
    assert host.said[0] == "reaches before the change: default gateway 192.0.2.1, SSH peer 198.51.100.7"


def test_helm_fetches_the_chart_through_the_proxies_and_reaches_the_cluster_without_them(tmp_path: Path) -> None:
    class Proxied(Cluster):
        around: dict[str, tuple[str, ...] | None] = {}  # noqa: RUF012 - of this one test

        def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
            self.around[argv[1]] = direct
            return super().execute(*argv, timeout_s=timeout_s, direct=direct)

    host = Proxied(str(tmp_path)).begin()
    bring(host, release())
    assert Proxied.around == {"upgrade": ("192.0.2.10", "10.96.0.0/16")}


def test_before_there_is_a_cluster_nothing_is_asked(tmp_path: Path) -> None:
    assert release().look(Cluster(str(tmp_path))) == Absent()


@pytest.mark.parametrize("at", range(4))
def test_killed_at_any_change_the_next_run_ends_where_the_first_would(tmp_path: Path, at: int) -> None:
    with pytest.raises(Killed):
        bring(Cluster(str(tmp_path), at).begin(), release())
    host = Cluster(str(tmp_path))
    bring(host, release())
    assert settled(host, release())


def test_an_interrupted_install_is_uninstalled_first(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        bring(Cluster(str(tmp_path), fails="helm-dies").begin(), release())
    host = Cluster(str(tmp_path))
    bring(host, release())
    assert [argv[1] for argv in host.commands] == ["uninstall", "upgrade"]
    assert "the release cilium was left in pending-install: uninstalled, nothing was deployed before" in host.said
    assert settled(host, release())


def test_an_interrupted_upgrade_goes_back_to_what_ran_and_on_from_there(tmp_path: Path) -> None:
    installed(tmp_path, "1.19.11")
    with pytest.raises(Killed):
        bring(Cluster(str(tmp_path), fails="helm-dies"), release())
    host = Cluster(str(tmp_path))
    now = release().look(host)
    assert isinstance(now, Known)
    assert now.text == "cilium-1.20.5 pending-upgrade over 1.19.11, ready"
    bring(host, release())
    assert [argv[1:4] for argv in host.commands] == [("rollback", "cilium", "1"), ("upgrade", "--install", "cilium")]
    assert settled(host, release())


def test_a_failed_install_says_what_helm_said_and_the_next_run_mends_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as failed:
        bring(Cluster(str(tmp_path), fails="helm-fails").begin(), release())
    assert "admission webhook denied" in failed.value.cause
    host = Cluster(str(tmp_path))
    bring(host, release())
    assert settled(host, release())


def test_changed_values_are_an_upgrade_and_a_lost_file_is_only_written(tmp_path: Path) -> None:
    host = installed(tmp_path)
    more = {**VALUES, "operator": {"replicas": 2}}
    bring(host, release(values=more))
    assert [argv[1] for argv in host.commands] == ["upgrade"]
    (tmp_path / FILE[1:]).unlink()
    again = Cluster(str(tmp_path))
    bring(again, release(values=more))
    assert again.commands == []
    assert settled(again, release(values=more))


def test_numbers_and_nulls_as_helm_gives_them_back_are_no_difference(tmp_path: Path) -> None:
    told = {**VALUES, "MTU": 1450}
    host = installed(tmp_path, values=told)
    row = host.now["revisions"][0]
    host.change(revisions=[{**row, "values": {**row["values"], "MTU": 1450.0, "tls": None}}])
    assert settled(host, release(values=told))


@pytest.mark.parametrize(
    ("running", "wanted", "word"),
    [
        ("1.18.4", "1.20.5", "spec.cilium.version: 1.19.x, its newest patch"),
        ("1.20.5", "1.19.11", "spec.cilium.version: 1.20.5"),
        ("1.20.5", "2.0.0", "spec.cilium.version: 1.21.x, its newest patch"),
    ],
)
def test_a_minor_is_neither_jumped_over_nor_taken_back(tmp_path: Path, running: str, wanted: str, word: str) -> None:
    host = installed(tmp_path, running)
    with pytest.raises(RefusedError) as refused:
        bring(host, release(wanted))
    assert refused.value.fix == word
    assert host.commands == []


@pytest.mark.parametrize(("running", "wanted"), [("1.19.11", "1.20.5"), ("1.20.1", "1.20.5"), ("1.20.5", "1.20.1")])
def test_the_next_minor_and_any_patch_are_brought(tmp_path: Path, running: str, wanted: str) -> None:
    host = installed(tmp_path, running)
    bring(host, release(wanted))
    assert settled(host, release(wanted))


@pytest.mark.parametrize(
    ("operator", "word"),
    [
        ({**POOL, "clusterPoolIPv4PodCIDRList": ["10.245.0.0/16"]}, "clusterPoolIPv4PodCIDRList"),
        ({**POOL, "clusterPoolIPv4MaskSize": 25}, "clusterPoolIPv4MaskSize"),
    ],
)
def test_the_pool_of_a_live_cilium_is_never_changed(tmp_path: Path, operator: Mapping[str, Any], word: str) -> None:
    host = installed(tmp_path)
    with pytest.raises(RefusedError, match=word):
        bring(host, release(values={"ipam": {"mode": "cluster-pool", "operator": operator}}))
    with pytest.raises(RefusedError, match=r"ipam\.mode"):
        bring(host, release(values={"ipam": {"mode": "kubernetes"}}))


def test_a_release_of_cilium_cli_with_the_chart_s_own_pool_is_refused_and_one_with_ours_taken_over(
    tmp_path: Path,
) -> None:
    host = installed(tmp_path)
    (tmp_path / FILE[1:]).unlink()
    row = host.now["revisions"][0]
    host.change(revisions=[{**row, "values": {"operator": {"replicas": 1}}}])
    with pytest.raises(RefusedError, match=r"10\.0\.0\.0/8"):
        bring(host, release())
    host.change(revisions=[{**row, "values": {"ipam": VALUES["ipam"]}}])
    bring(host, release())
    assert "takes over the release cilium that another tool made: cilium-1.20.5 deployed" in host.said
    assert settled(host, release())


def test_a_pool_may_grow_at_its_end(tmp_path: Path) -> None:
    host = installed(tmp_path)
    grown = {**POOL, "clusterPoolIPv4PodCIDRList": ["10.244.0.0/16", "10.248.0.0/16"]}
    bring(host, release(values={"ipam": {"mode": "cluster-pool", "operator": grown}}))


@pytest.mark.parametrize(
    ("notes", "word"), [({}, "cilium uninstall"), ({"meta.helm.sh/release-name": "net"}, "helm uninstall")]
)
def test_a_cilium_that_is_not_ours_is_refused_with_the_way(tmp_path: Path, notes: Mapping[str, str], word: str) -> None:
    host = Cluster(str(tmp_path)).begin()
    host.change(foreign=notes)
    with pytest.raises(RefusedError) as refused:
        bring(host, release())
    assert word in refused.value.fix


def test_one_that_never_comes_up_says_what_was_last_seen_and_the_next_run_only_waits(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path), fails="image").begin()
    with pytest.raises(CaasError) as late:
        bring(host, release())
    seen = "cilium 0/1 ready: cilium-x7k2p: ErrImagePull failed to pull quay.io/cilium/cilium: dial tcp: i/o timeout"
    assert late.value.cause == f"last seen: {seen}"
    assert f"waits for Cilium: {seen}" in host.said
    assert host.now["revisions"][-1]["status"] == "deployed"
    again = Cluster(str(tmp_path))
    again.fails = "image"
    with pytest.raises(CaasError, match="not up"):
        bring(again, release())
    assert again.commands == []
    assert settled(Cluster(str(tmp_path)), release())


@pytest.mark.parametrize(
    ("fails", "word"),
    [
        ("gateway", "default gateway 192.0.2.1 answered before and does not answer now"),
        ("peer", "the route to SSH peer 198.51.100.7 now leads into cilium_host, it led over eth0"),
        ("route", "the default route over 192.0.2.1 (eth0) is gone"),
    ],
)
def test_where_the_host_s_own_network_is_lost_a_fresh_cilium_is_uninstalled(
    tmp_path: Path, fails: str, word: str
) -> None:
    host = Cluster(str(tmp_path), fails=fails).begin()
    with pytest.raises(CaasError) as back:
        bring(host, release())
    assert word in back.value.problem
    assert back.value.cause == "it is uninstalled, and all answer again"
    assert host.now["revisions"] == []
    assert host.now["default"]
    assert host.list("/sys/class/net") == ("eth0",)


def test_a_helm_that_fails_half_way_with_the_network_gone_is_taken_back_too(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path), fails="half").begin()
    with pytest.raises(CaasError) as back:
        bring(host, release())
    assert "default gateway 192.0.2.1" in back.value.problem
    assert host.now["revisions"] == []
    assert isinstance(back.value.__cause__, CommandError)


@pytest.mark.parametrize(
    ("missing", "word"), [("helm", "helm: is not installed"), ("kubectl", "kubectl: is not installed")]
)
def test_without_its_programs_nothing_is_known_of_a_release(tmp_path: Path, missing: str, word: str) -> None:
    class Without(Cluster):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            return Completed(argv, 127, missing=True) if argv[0] == missing else super().query(*argv)

    assert release().look(Without(str(tmp_path)).begin()) == Unknown(word)


def test_an_api_server_that_does_not_answer_is_unknown_and_no_missing_release(tmp_path: Path) -> None:
    class Down(Cluster):
        def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
            return Completed(argv, 1, stderr="warning\nThe connection to the server 192.0.2.10:6443 was refused\n")

    now = release().look(Down(str(tmp_path)).begin())
    assert now == Unknown("kubectl get nodes: The connection to the server 192.0.2.10:6443 was refused")
    assert release().target(now) == now


def test_where_it_is_lost_in_an_upgrade_the_revision_before_comes_back(tmp_path: Path) -> None:
    installed(tmp_path, "1.19.11")
    host = Cluster(str(tmp_path), fails="gateway")
    with pytest.raises(CaasError) as back:
        bring(host, release())
    assert back.value.cause == "it is back at 1.19.11 (revision 1), and all answer again"
    assert host.now["revisions"][-1]["chart"] == "cilium-1.19.11"


def test_a_gateway_that_never_answered_is_no_reason_to_go_back(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path)).begin()
    host.change(cut="gateway")
    host.fails = "gateway"
    bring(host, release())
    assert host.now["revisions"][-1]["status"] == "deployed"


def test_a_notebook_that_is_shut_meanwhile_is_no_reason_to_go_back(tmp_path: Path) -> None:
    """Its session stays open for minutes; the gateway on the way to it answers."""
    host = Cluster(str(tmp_path), fails="asleep").begin()
    bring(host, release())
    assert host.now["cut"] == "asleep"
    assert host.now["revisions"][-1]["status"] == "deployed"


def test_ipsec_s_key_is_made_once_and_shown_nowhere(tmp_path: Path) -> None:
    values = {**VALUES, "encryption": {"enabled": True, "type": "ipsec"}}
    host = Cluster(str(tmp_path)).begin()
    bring(host, release(values=values))
    key = host.now["keys"].split()[2]
    assert len(bytes.fromhex(key)) == 20
    assert not any(key in word for argv in host.commands for word in argv)
    assert not any(key in line for line in host.said)
    assert not (tmp_path / "run/caasctl/stage/helm").exists()
    bring(host, release("1.20.6", values))
    assert host.now["keys"].split()[2] == key


def test_a_local_chart_must_be_of_the_profile_s_version(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path)).begin()
    host.plant("/srv/cilium/Chart.yaml", "name: cilium\nversion: 1.19.11\n")
    with pytest.raises(CaasError, match=r"1\.19\.11, not 1\.20\.5"):
        bring(host, release(chart="/srv/cilium"))
    bring(host, release("1.19.11", chart="/srv/cilium"))
    assert settled(host, release("1.19.11", chart="/srv/cilium"))


def test_the_chart_s_place_in_the_command_line() -> None:
    assert Chart("cilium", "https://h.example", "1.20.5").argv == (
        "cilium",
        "--repo",
        "https://h.example",
        "--version",
        "1.20.5",
    )
    assert Chart("oci://quay.io/cilium/charts/cilium", "x", "1.20.5").argv[1:] == ("--version", "1.20.5")
    assert Chart("own/cilium", "", "1.20.5").argv == ("own/cilium", "--version", "1.20.5")
    assert Chart("./cilium-1.20.5.tgz", "x", "1.20.5").argv == ("./cilium-1.20.5.tgz",)


def test_a_password_in_an_address_is_refused_before_it_gets_into_a_command_line(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path)).begin()
    leaky = replace(release(), chart=Chart("cilium", "https://me:pw@h.example", "1.20.5"))
    with pytest.raises(RefusedError) as refused:
        bring(host, leaky)
    assert "pw" not in refused.value.problem + refused.value.cause + refused.value.fix


def test_the_way_back_is_known_before_the_change(tmp_path: Path) -> None:
    host = Cluster(str(tmp_path)).begin()
    fresh = release().undo(Absent())
    assert fresh.first[0][:4] == ("helm", "uninstall", "cilium", "--ignore-not-found")
    assert fresh.files == {FILE: None}
    bring(host, release("1.19.11"))
    now = release().look(host)
    assert release().undo(now).commands[0][:4] == ("helm", "rollback", "cilium", "1")
    assert release("1.19.11").undo(now).commands == ()


def test_the_target_of_a_target_is_itself(tmp_path: Path) -> None:
    host = installed(tmp_path, "1.19.11")
    now = release().look(host)
    assert isinstance(now, Known)
    states: list[State] = [Absent(), Unknown("x"), now, Known("not installed", parts=((FILE, Known("x", 0o644)),))]
    for state in states:
        once = release().target(state)
        assert release().target(once) == once


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/ssh/sshd_config", "Port 2222\n"),
        ("etc/ssh/sshd_config.d/50-x.conf", "ListenAddress 0.0.0.0:2222\n"),
        ("etc/systemd/system/ssh.socket.d/listen.conf", "[Socket]\nListenStream=2222\n"),
    ],
)
def test_a_session_is_watched_on_whatever_port_ssh_listens(path: str, text: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(text)
    (tmp_path / "proc/net").mkdir(parents=True)
    row = "   0: 020200C0:08AE 076433C6:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1\n"
    (tmp_path / "proc/net/tcp").write_text("  sl  local_address rem_address   st\n" + row)
    assert [peer.address for peer, _ in lifeline.note(LiveHost(str(tmp_path))).seen] == ["198.51.100.7"]


INTERRUPTED = """
import time
from caasctl.resources.helm import commands

class Host:
    def query(self, *argv, timeout_s=5.0):
        if argv[0] == "helm":
            time.sleep(60)
        raise KeyboardInterrupt

try:
    commands.see(Host(), "10.0.0.1")
except KeyboardInterrupt:
    print("out")
"""


def test_who_interrupts_a_plan_does_not_wait_for_helm() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "out\n"
