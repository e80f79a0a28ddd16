"""What the phases of a reset desire, by literal facts: only what is provably caasctl's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.lab.fact_use import use

from caasctl import planning, profile_load
from caasctl.checks import CHECKS
from caasctl.facts.boot import BootLoader, CommandLine, parse_grub_config
from caasctl.facts.boot_entries import BootEntries
from caasctl.facts.boot_initramfs import Initramfs
from caasctl.facts.cluster_members import ClusterMembers
from caasctl.facts.containerd import ContainerdBinaries, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.containerd_registries import RegistryFolders
from caasctl.facts.kubernetes import Cluster, StaticPods
from caasctl.facts.network import Link, Links
from caasctl.facts.os_sysctl import SysctlConfig
from caasctl.facts.ownership import GRUB, SYSCTLS, OwnFiles, Record, read_record
from caasctl.host import LiveHost
from caasctl.model import HEADER, Facts, RefusedError
from caasctl.phases import ORDER as INIT
from caasctl.protocol import Absent, Known, Phase
from caasctl.resets import ORDER, boot, cluster, containerd, done, host, network
from caasctl.resetting import ResetSession, notes, refuse
from caasctl.resources.files import Reset
from caasctl.resources.final import Final
from caasctl.resources.kubeadm.reset import KubeconfigGone
from caasctl.resources.units import LinkBack
from caasctl.syntax.digests import sha256
from caasctl.syntax.sysctl import Setting

PROFILE = profile_load.load()
NOTHING: tuple[object, ...] = (
    Record(), OwnFiles(), Cluster(), StaticPods(), ContainerdBinaries(), ContainerdVersion((0, 0, 0), ""), ContainerdConfig(), RegistryFolders(),
    SysctlConfig(()), Links(()), BootLoader("grub", (), "/boot/grub/grub.cfg", "grub-mkconfig", ("update-grub",)),
    Initramfs("initramfs-tools"), CommandLine("ro quiet intel_iommu=on"), parse_grub_config([("/etc/default/grub", "")]),
    BootEntries("", (), None),
)  # fmt: skip
ALWAYS = {
    "file",
    "folder",
    "grubenv",
    "proxy",
    "unit",
    "record",
    "kata",
}  # that look for caasctl's own mark, word or folder themselves
BEGUN = Record(frozenset({"kubeadm:init"}), frozenset({"kubeadm:init"}))
THERE = Cluster(admin_conf=True, kubelet_conf=True, ca=True)


def names(phase: Phase, *facts: object) -> list[str]:
    known = {type(fact): fact for fact in (*NOTHING, *facts)}
    return [resource.name for resource in phase.desired(Facts(known.values()), PROFILE)]


def test_on_a_host_without_a_trace_only_what_knows_its_own_is_looked_for() -> None:
    found = {name.partition(":")[0] for phase in ORDER for name in names(phase)}
    assert found <= ALWAYS


def test_no_phase_has_the_name_of_one_of_init_node_and_no_check_stands_before_it() -> None:
    ids = {phase.id for phase in ORDER}
    assert not ids & {phase.id for phase in INIT}
    assert not ids & {gate for check in CHECKS for gate in check.gates}


@pytest.mark.parametrize("phase", ORDER, ids=lambda phase: phase.id)
def test_a_phase_declares_every_fact_that_it_asks_for(phase: Phase) -> None:
    assert {kind.__name__ for kind in use(phase.desired).every} <= {kind.__name__ for kind in phase.reads}
    assert {kind.__name__ for kind in phase.reads} <= {type(fact).__name__ for fact in NOTHING}


def test_a_kubeconfig_goes_before_admin_conf_that_tells_whose_it_is() -> None:
    record = Record(frozenset({"kubeadm:init", "kubeconfig:/home/ann/.kube/config"}), frozenset({"kubeadm:init"}))
    assert names(cluster.PHASE, record, THERE)[1:] == [
        "kubeconfig:/home/ann/.kube/config",
        "kubeconfig:/root/.kube/config",
        "kubeadm:reset",
    ]


def test_only_a_folder_of_a_kubeconfig_that_caasctl_made_goes_with_it() -> None:
    changed = frozenset({"kubeadm:init", "kubeconfig:/home/ann/.kube/config"})
    record = Record(changed, frozenset({"kubeadm:init"}), folders=frozenset({"/root/.kube"}))
    facts = Facts({type(fact): fact for fact in (*NOTHING, record, THERE)}.values())
    finals = [one for one in cluster.PHASE.desired(facts, PROFILE) if isinstance(one, Final)]
    gone = [one.what.folder for one in finals if isinstance(one.what, KubeconfigGone)]
    assert gone == ["", "/root/.kube"]


def test_the_unit_that_would_make_a_node_again_after_a_boot_goes_first_of_all() -> None:
    assert ORDER[0] is cluster.PHASE
    assert [names(cluster.PHASE, *more)[0] for more in ((), (BEGUN, THERE))] == ["unit:caasctl-resume.service"] * 2


def test_a_cluster_is_ours_by_the_record_or_where_that_is_lost_by_caasctls_folder() -> None:
    folder = OwnFiles(folder=("/etc/kubernetes/caasctl/kubeadm.yaml",))
    assert "kubeadm:reset" in names(cluster.PHASE, BEGUN, THERE)
    assert "kubeadm:reset" in names(cluster.PHASE, folder, THERE)
    taken_back = Record(frozenset({"kubeadm:init"}))  # what is in the folder was edited, and stayed
    assert "kubeadm:reset" not in names(cluster.PHASE, taken_back, folder, THERE)


def test_what_a_cluster_left_is_not_looked_for_where_another_cluster_lives() -> None:
    was = Record(frozenset({"kubeadm:init", "helm:cilium"}))
    assert "cilium:links" in names(network.PHASE, was)
    assert "cilium:links" not in names(network.PHASE, was, THERE)
    assert "cilium:links" not in names(network.PHASE, was, Cluster(others=(("k3s", "/etc/rancher/k3s"),)))


def test_programs_go_before_their_maps_and_the_folder_that_proves_it_all_goes_last() -> None:
    found = names(network.PHASE, BEGUN)
    assert found.index("cilium:filters") < found.index("cilium:pins")
    assert found[-1] == "folder:/etc/kubernetes/caasctl"


def test_forwarding_stays_on_where_docker_routes_through_this_host() -> None:
    record = Record(commands=(("sysctl", "-w", "net.ipv4.ip_forward=0"), ("sysctl", "-w", "vm.overcommit_memory=0")))
    settings = [name for name in names(host.PHASE, record) if name.startswith("sysctl:")]
    assert settings == ["sysctl:net.ipv4.ip_forward", "sysctl:vm.overcommit_memory"]
    docker = Links((Link("docker0", "bridge"),))
    assert "sysctl:net.ipv4.ip_forward" not in names(host.PHASE, record, docker)


def test_what_another_file_asks_for_is_what_a_setting_goes_back_to() -> None:
    record = Record(commands=(("sysctl", "-w", "vm.overcommit_memory=0"),))
    other = SysctlConfig((Setting("vm.overcommit_memory", "2", "/etc/sysctl.d/50-theirs.conf", 1),))
    facts = Facts({type(fact): fact for fact in (*NOTHING, record, other)}.values())
    (setting,) = [resource for resource in host.PHASE.desired(facts, PROFILE) if resource.name.startswith("sysctl")]
    assert setting.target(Known("1")) == Known("2")


def test_what_is_gone_since_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    """As after a reset that failed behind phase reset-host, and a boot that loaded no module for caasctl any more."""
    record = Record(
        commands=(("sysctl", "-w", "net.bridge.bridge-nf-call-iptables=0"), ("systemctl", "enable", "--", "s.swap"))
    )
    known = Facts({type(fact): fact for fact in (*NOTHING, record)}.values())
    bridge, unit = list(host.PHASE.desired(known, PROFILE))[-2:]
    assert bridge.target(bridge.look(LiveHost(str(tmp_path)))) == bridge.look(LiveHost(str(tmp_path))) == Absent()
    assert unit.target(Absent()) == Absent()


def test_a_unit_that_was_linked_is_linked_again_behind_the_disable_that_removes_the_link(tmp_path: Path) -> None:
    file = "/opt/containerd.service"
    record = Record(commands=(("systemctl", "disable", "--", "containerd.service"), ("systemctl", "link", file)))
    assert names(host.PHASE, record)[-2:] == ["unit:containerd.service", f"unit:{file}"]
    live, link = LiveHost(str(tmp_path)), LinkBack(file)
    assert link.target(link.look(live)) == link.look(live) == Absent()
    live.write(file, b"[Service]\n")
    assert (link.look(live), link.target(link.look(live))) == (Known("not linked"), Known("linked"))
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/containerd.service").symlink_to(file)
    assert link.target(link.look(live)) == link.look(live) == Known("linked")


def test_units_are_unmasked_before_swap_is_on_again() -> None:
    record = Record(
        commands=(
            ("swapon", "/swapfile"),
            ("systemctl", "unmask", "--", "swapfile.swap"),
            ("systemctl", "restart", "x"),
        )
    )
    assert names(host.PHASE, record)[-2:] == ["unit:swapfile.swap", "swap:/swapfile"]


def test_grub_is_only_touched_where_caasctl_was_in_it() -> None:
    assert "grub" not in names(boot.PHASE)
    assert "grub" in names(boot.PHASE, OwnFiles({GRUB: "x"}))
    assert "grub" in names(boot.PHASE, Record(frozenset({"grub"})))
    grubby = Record(commands=(("grubby", "--update-kernel=ALL", "--remove-args=iommu=pt quiet"),))
    assert names(boot.PHASE, grubby)[-1] == "grubby:/boot/loader/entries"


def test_a_reboot_is_owed_for_what_only_caasctl_asked_for() -> None:
    assert "cmdline:/proc/cmdline" not in names(done.PHASE)  # intel_iommu=on, and caasctl was never in GRUB
    was = Record(frozenset({"grub"}))
    assert "cmdline:/proc/cmdline" in names(done.PHASE, was)
    theirs = parse_grub_config([("/etc/default/grub", 'GRUB_CMDLINE_LINUX="intel_iommu=on"')])
    assert "cmdline:/proc/cmdline" not in names(done.PHASE, was, theirs)
    text = f'{HEADER}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT quiet"\n'
    ours, found = parse_grub_config([(GRUB, text)]), OwnFiles({GRUB: sha256(text)})
    running = CommandLine("ro quiet")
    assert "cmdline:/proc/cmdline" in names(done.PHASE, ours, found, running)
    edited = Record(written={GRUB: frozenset({"another"})})
    assert "cmdline:/proc/cmdline" not in names(done.PHASE, ours, found, running, edited)


def test_containerd_is_looked_at_where_a_run_changed_it() -> None:
    assert "containerd" not in names(containerd.PHASE)
    assert "containerd" in names(containerd.PHASE, Record(frozenset({"containerd"})))


# -- what is refused, and what is said ---------------------------------------------------------------------------------
def facts(*more: object) -> Facts:
    return Facts({type(fact): fact for fact in (*NOTHING, *more)}.values())


@pytest.mark.parametrize("there", [(Cluster(kubelet_conf=True),), (StaticPods(("etcd.yaml",)),)])
def test_a_cluster_that_caasctl_did_not_begin_is_refused(there: tuple[object, ...]) -> None:
    with pytest.raises(RefusedError, match="was not begun by caasctl") as refused:
        refuse(facts(*there))
    assert "kubeadm reset --force" in refused.value.fix
    refuse(facts(*there, BEGUN))
    refuse(facts())


def test_a_cluster_that_somebody_began_by_hand_after_a_run_that_failed_is_refused() -> None:
    theirs = OwnFiles(folder=("/etc/kubernetes/caasctl/kubeadm.yaml",), foreign=True)
    for record in (BEGUN, Record()):
        assert "kubeadm:reset" not in names(cluster.PHASE, record, THERE, theirs)
        with pytest.raises(RefusedError, match="was not begun by caasctl") as refused:
            refuse(facts(record, THERE, theirs))
        assert "its API server reads nothing in /etc/kubernetes/caasctl" in refused.value.cause


def test_what_was_agreed_to_is_not_done_where_another_run_has_ended_since(tmp_path: Path) -> None:
    live, session = LiveHost(str(tmp_path)), ResetSession()
    session.still_agreed(live, facts())
    live.write(
        "/var/lib/caasctl/runs/1/0001.json", b'{"resource": "kubeadm:init", "first": [["kubeadm", "reset"]]}', 0o600
    )
    with pytest.raises(RefusedError, match="since the plan of this reset was shown"):
        session.still_agreed(live, facts())
    session.still_agreed(live, facts(read_record(live)))


MEMBERS = ClusterMembers(("n1", "n2"), ("n1",), 3, ("shop", "web"), "n1")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (ClusterMembers(name="n7", worker=True), "Node object of this host stays.*`kubectl delete node n7`"),
        (
            ClusterMembers(("a", "b", "c"), ("a", "b"), name="a"),
            "1 other control plane go.*etcd member out.*`kubectl delete node a`",
        ),
        (ClusterMembers(name="a", silent="connection refused"), "connection refused.*etcdctl member remove ID"),
        (MEMBERS, "only control plane.*3 in shop, web"),
        (MEMBERS, "Its other nodes lose their cluster: n2"),
    ],
)
def test_what_goes_with_the_cluster_and_what_stays_in_it_is_said(members: ClusterMembers, words: str) -> None:
    said = " ".join(notes(facts(BEGUN, THERE, members)))
    assert re.search(words, said), said


def test_an_edited_file_and_a_lost_record_are_said() -> None:
    own = OwnFiles({SYSCTLS[0]: "x"})
    assert "was edited since" in " ".join(
        notes(facts(own, Record(frozenset({"y"}), written={SYSCTLS[0]: frozenset({"z"})})))
    )
    said = " ".join(notes(facts(own)))
    assert "edited" not in said
    assert "record of caasctl's runs is not there" in said


def test_a_record_that_cannot_be_read_leaves_the_plan_undetermined() -> None:
    known = Facts([fact for fact in NOTHING if not isinstance(fact, Record)], {Record: "needs root"})
    refuse(known)
    planned = planning.plan(None, known, PROFILE, (), (host.PHASE,))  # type: ignore[arg-type]
    assert "needs root" in planned[0].message


# -- a file that goes --------------------------------------------------------------------------------------------------
TEXT = HEADER + "x\n"


@pytest.mark.parametrize(
    ("file", "left"),
    [
        (Reset("/f"), None),
        (Reset("/f", digests=frozenset({sha256(TEXT)})), None),
        (Reset("/f", digests=frozenset({"another"})), TEXT),
        (Reset("/f", digests=frozenset({sha256(TEXT)}), recorded=True, original=("old", 0o600)), "old"),
        (Reset("/f", digests=frozenset({sha256(TEXT)}), recorded=True), None),
        (
            Reset("/f", digests=frozenset({"another"}), recorded=True, original=("old", 0o600), without=str.upper),
            TEXT.upper(),
        ),
    ],
)
def test_a_file_goes_comes_back_or_stays_by_what_is_known_of_it(file: Reset, left: str | None) -> None:
    wanted = file.target(Known(TEXT, 0o644))
    assert (wanted.text if isinstance(wanted, Known) else None) == left
    assert file.target(wanted) == wanted
    assert Reset("/f").target(Known("theirs", 0o644)) == Known("theirs", 0o644)
