"""A cluster is begun once, joined once, and never taken for what it is not; seen on a stand-in of kubeadm."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl import ledger, undo_plan
from caasctl.formats import parse_yaml
from caasctl.host import LiveHost
from caasctl.model import CaasError, CommandError
from caasctl.protocol import Absent, Change, Completed, Impossible, Known, Resource, State, Unknown
from caasctl.resources.files import File
from caasctl.resources.kubeadm import run
from caasctl.resources.kubeadm.begin import JOIN_FILE, KubeadmInit, KubeadmJoin
from caasctl.resources.kubeadm.key import EncryptionKey
from caasctl.resources.kubeadm.kubeconfig import Kubeconfig
from caasctl.resources.kubeadm.stage import COMPLETE, UNFINISHED
from caasctl.syntax import kubeadm

ADMIN_TEXT = (
    "apiVersion: v1\nkind: Config\nclusters:\n- name: kubernetes\n  cluster:\n    certificate-authority-data: {ca}\n"
    "    server: https://192.0.2.7:6443\nusers:\n- name: kubernetes-admin\n  user: {{client-key-data: c2VjcmV0}}\n"
)
TOKEN, KEY = "abcdef.0123456789abcdef", "c0ffee" * 10 + "beef"
# What kubeadm init leaves, in its order; the API server answers from `api` on, kubeadm-config is there at the end.
WRITES = (kubeadm.CA_KEY, kubeadm.CA, kubeadm.ADMIN, kubeadm.KUBELET_CONF, *kubeadm.MANIFESTS)
REFUSED = "The connection to the server 192.0.2.7:6443 was refused - did you specify the right host or port?"
MISSING = 'Error from server (NotFound): configmaps "kubeadm-config" not found'


@dataclass
class Faults:
    """What goes wrong: the text with which kubeadm refuses the file, stops pulling, or fails after so many files."""

    validate: str = ""
    pull: str = ""
    init: str = ""
    files: int = len(WRITES)
    api: str = ""
    answers: dict[str, str] = field(default_factory=dict)


class KubeadmHost(CrashingHost):
    """A stand-in of kubeadm 1.36, kubectl and crictl on a tree: order of files as kubeadm's phases, messages as theirs."""

    def __init__(self, root: Path, at: int = -1, faults: Faults | None = None) -> None:
        super().__init__(str(root), at)
        self.faults = faults or Faults()
        self.seen: list[tuple[str, str]] = []
        self.plant("/usr/bin/kubeadm", "")
        self.path("/usr/bin/kubeadm").chmod(0o755)

    def path(self, path: str) -> Path:
        return Path(self.root + path)

    def plant(self, path: str, text: str = "x") -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        if argv[:3] == ("kubeadm", "config", "validate"):
            self.seen.append((argv[-1], self.path(argv[-1]).read_text()))
            return Completed(
                argv, 1 if self.faults.validate else 0, "" if self.faults.validate else "ok\n", self.faults.validate
            )
        if argv[:4] == ("kubeadm", "config", "images", "list"):
            return Completed(argv, 0, "registry.k8s.io/kube-apiserver:v1.36.4\nregistry.k8s.io/pause:3.10.2\n")
        if argv[0] == "kubectl":
            return self._kubectl(argv)
        return Completed(argv, 0, self.faults.answers.get(argv[0], ""))

    def _kubectl(self, argv: tuple[str, ...]) -> Completed:
        if self.faults.api:
            return Completed(argv, 1, "", self.faults.api)
        if self.path("/cluster").exists():
            return Completed(argv, 0, "apiVersion: kubeadm.k8s.io/v1beta4\n")
        return Completed(argv, 1, "", REFUSED)

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self._around(lambda: self._act(argv))
        return Completed(argv, 0)

    def _act(self, argv: tuple[str, ...]) -> None:
        self.commands.append(argv)
        if argv[:4] == ("kubeadm", "config", "images", "pull") and self.faults.pull:
            raise CommandError("`kubeadm config images pull` failed with exit status 1", cause=self.faults.pull, fix="")
        if argv[:3] == ("kubeadm", "init", "phase"):
            assert argv[-2:] == ("--config", kubeadm.CONFIG)
            return
        if argv[:2] in (("kubeadm", "init"), ("kubeadm", "join")):
            self.seen.append((argv[3], self.path(argv[3]).read_text()))
            assert self.path(argv[3]).stat().st_mode & 0o777 == 0o600
            self._begin(WRITES if argv[1] == "init" else (kubeadm.CA, kubeadm.KUBELET_CONF), argv)

    def _begin(self, writes: tuple[str, ...], argv: tuple[str, ...]) -> None:
        for path in writes[: self.faults.files]:
            self.plant(path, ADMIN_TEXT.format(ca="NEW") if path == kubeadm.ADMIN else path)
        if self.faults.init:
            raise CommandError(f"`{' '.join(argv)}` failed with exit status 1", cause=self.faults.init, fix="")
        self.plant("/cluster")


MEMBERS = (File(kubeadm.CONFIG, "kind: InitConfiguration\n", 0o600), File(kubeadm.ADMISSION, "kind: A\n", 0o600))
INIT = KubeadmInit(MEMBERS, proof_s=0.0)
JOIN = KubeadmJoin("n", {"kind": "JoinConfiguration", "token": TOKEN, "certificateKey": KEY}, (), (TOKEN, KEY),
                   (File(kubeadm.KUBELET_PATCH, "maxPods: 3\n", 0o600),), proof_s=0.0)  # fmt: skip


def converge(host: LiveHost, resource: Resource) -> State:
    """One turn of apply: the state afterwards."""
    now = resource.look(host)
    if resource.target(now) != now:
        ledger.Ledger(host, "run1").record(Change("kubeadm", resource, now, resource.target(now)))
        outcome = resource.apply(host, now)
        assert not isinstance(outcome, Impossible), outcome
    return resource.look(host)


def text(state: State) -> str:
    return state.text if isinstance(state, Known) else repr(state)


def failure(action: Callable[[], object]) -> CaasError:
    with pytest.raises(CaasError) as caught:
        action()
    return caught.value


# -- init --------------------------------------------------------------------------------------------------------------
def test_a_cluster_is_begun_from_nothing_and_then_left_alone(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    assert text(INIT.look(host)) == "absent"
    assert text(converge(host, INIT)) == COMPLETE
    assert host.commands == [
        ("kubeadm", "config", "images", "pull", "--config", kubeadm.CONFIG),
        ("kubeadm", "init", "--config", kubeadm.CONFIG, "--skip-token-print"),
    ]
    assert [path for path, _ in host.seen] == [f"{run.STAGE}/kubeadm.yaml", kubeadm.CONFIG]
    assert host.stat(run.STAGE) is None
    assert host.stat(kubeadm.ADMISSION).mode == 0o600  # type: ignore[union-attr]
    converge(host, INIT)
    assert len(host.commands) == 2


def test_once_complete_the_files_are_frozen(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    converge(host, INIT)
    other = replace(INIT, members=(replace(MEMBERS[0], text="kind: Other\n"),))
    assert other.target(other.look(host)) == other.look(host)
    assert host.read(kubeadm.CONFIG) == MEMBERS[0].text


def test_a_target_is_its_own_target(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    for state in (INIT.look(host), Known("partial: x"), Known(COMPLETE), Unknown("x"), converge(host, INIT)):
        for resource in (INIT, JOIN):
            assert resource.target(resource.target(state)) == resource.target(state)


def test_what_kubeadm_does_not_accept_changes_nothing(tmp_path: Path) -> None:
    said = 'error unmarshaling configuration: strict decoding error: unknown field "spec.x"\n'
    host = KubeadmHost(tmp_path, faults=Faults(validate=said))
    error = failure(lambda: converge(host, INIT))
    assert error.cause == 'strict decoding error: unknown field "spec.x"'
    assert host.commands == []
    assert (host.stat(kubeadm.CONFIG), host.stat(run.STAGE)) == (None, None)


def test_images_that_cannot_be_pulled_are_named(tmp_path: Path) -> None:
    said = (
        "[config/images] Pulled registry.k8s.io/kube-apiserver:v1.36.4\n"
        'failed to pull image "registry.k8s.io/pause:3.10.2": dial tcp: lookup registry.k8s.io: no such host\n'
    )
    host = KubeadmHost(tmp_path, faults=Faults(pull=said))
    error = failure(lambda: converge(host, INIT))
    assert error.problem == "not all images of the control plane could be pulled: registry.k8s.io/pause:3.10.2"
    assert text(INIT.look(host)) == "absent"


def test_a_failed_init_says_the_kubelets_reason_and_how_to_go_on(tmp_path: Path) -> None:
    said = "[kubelet-check] waiting\nerror execution phase wait-control-plane: could not: context deadline exceeded\n"
    journal = 'E0811 run.go:72] err="failed to run Kubelet: running with swap on is not supported"\n'
    host = KubeadmHost(tmp_path, faults=Faults(init=said, answers={"journalctl": journal}))
    error = failure(lambda: converge(host, INIT))
    assert error.problem == "`kubeadm init` failed in phase wait-control-plane"
    assert "swap" in error.cause
    assert run.RESET_TEXT in error.fix
    assert "deadline" not in error.cause


def test_static_pods_speak_where_the_kubelet_is_well(tmp_path: Path) -> None:
    said = "error execution phase wait-control-plane: context deadline exceeded\n"
    host = KubeadmHost(tmp_path, faults=Faults(init=said))
    pod = f"{run.PODS}/kube-system_etcd-n_1234/etcd"
    host.plant(f"{pod}/9.log", "2026-08-11T12:00:00Z stderr F old\n")
    host.plant(f"{pod}/10.log", '2026-08-11T12:00:00Z stderr F {"level":"fatal","msg":"no space left on device"}\n')
    host.plant(f"{run.PODS}/kube-system_coredns-1_2/coredns/0.log", "Error: nobody asked\n")
    assert "a disk is full" in failure(lambda: converge(host, INIT)).cause


def test_preflight_that_fails_leaves_nothing_to_reset(tmp_path: Path) -> None:
    said = "error execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR Port-6443]: Port 6443 is in use\n"
    host = KubeadmHost(tmp_path, faults=Faults(init=said, files=0))
    error = failure(lambda: converge(host, INIT))
    assert error.cause == "Port 6443 is in use (Port-6443)"
    assert "reset" not in error.fix
    host.faults = Faults()
    assert text(converge(host, INIT)) == COMPLETE


def test_a_kubeadm_that_says_well_done_is_not_believed_without_the_cluster(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(api=REFUSED))
    error = failure(lambda: converge(host, INIT))
    assert "API server does not answer" in error.cause


def test_part_of_a_cluster_that_is_not_ours_is_not_reset(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.CA)
    now = INIT.look(host)
    assert text(now) == f"partial: {kubeadm.CA} is there"
    ledger.Ledger(host, "run1").record(Change("kubeadm", INIT, now, INIT.target(now)))
    outcome = INIT.apply(host, now)
    assert isinstance(outcome, Impossible)
    assert "caasctl did not begin" in outcome.problem
    assert (INIT.undo(now).first, INIT.undo(now).loses, host.commands) == ((), "", [])
    assert isinstance(INIT.apply(host, now), Impossible)  # the record of the first try does not make it ours
    assert "did not begin" in INIT.apply(host, now).problem  # type: ignore[union-attr]


def test_part_of_a_cluster_that_we_began_may_be_reset(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(init="error execution phase certs: killed\n", files=3))
    failure(lambda: converge(host, INIT))
    now = INIT.look(host)
    assert text(now).startswith("partial: ")
    outcome = INIT.apply(host, now)
    assert isinstance(outcome, Impossible)
    assert run.RESET_TEXT in outcome.fix
    host.write(f"{ledger.FOLDER}/run1/undone", b"")
    assert "did not begin" in INIT.apply(host, now).problem  # type: ignore[union-attr]


def test_a_silent_api_server_with_all_manifests_is_unknown_and_never_reset(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(api=REFUSED))
    for path in WRITES:
        host.plant(path)
    now = INIT.look(host)
    assert isinstance(now, Unknown)
    assert now.reason == f"a cluster was begun here and its API server does not answer: {REFUSED}"
    host.faults.api = MISSING
    assert text(INIT.look(host)) == "partial: the API server answers, but has no kubeadm-config"
    host.path(kubeadm.MANIFESTS[1]).unlink()
    host.faults.api = REFUSED
    assert text(INIT.look(host)).startswith("partial: ")


FINISHED = f"{kubeadm.KUBELET_CONF}:    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"


@pytest.mark.parametrize("gone", [kubeadm.ADMIN, *kubeadm.MANIFESTS])
@pytest.mark.parametrize("said", [REFUSED, MISSING])
def test_a_cluster_that_was_finished_once_is_never_half_made(tmp_path: Path, gone: str, said: str) -> None:
    """Who moves a manifest away (to restart the API server, to bring etcd back), or takes admin.conf off the node, has a cluster."""
    host = KubeadmHost(tmp_path, faults=Faults(api=said))
    for path in WRITES:
        host.plant(path)
    host.path(gone).unlink()
    if gone != kubeadm.MANIFESTS[0] or said == MISSING:
        assert text(INIT.look(host)).startswith("partial: ")
    host.faults.answers["grep"] = FINISHED
    now = INIT.look(host)
    assert isinstance(now, Unknown)
    assert now.reason.startswith("a cluster was made here, and ")


def test_killed_at_every_change_the_next_run_converges_or_says_what_is_there(tmp_path: Path) -> None:
    whole = KubeadmHost(tmp_path / "whole")
    converge(whole, INIT)
    ends = set()
    for at in range(whole.changes * 2):
        root = tmp_path / str(at)
        with pytest.raises(Killed):
            converge(KubeadmHost(root, at), INIT)
        host = KubeadmHost(root)
        ends.add(text(converge(host, INIT)))
        assert host.read(kubeadm.CONFIG) == MEMBERS[0].text
    assert ends == {COMPLETE}


@pytest.mark.parametrize("files", range(1, len(WRITES) + 1))
def test_killed_after_every_file_of_kubeadm_it_stops_and_offers_the_reset(tmp_path: Path, files: int) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(init="error: killed\n", files=files))
    failure(lambda: converge(host, INIT))
    now = INIT.look(host)
    if files == len(WRITES):
        assert isinstance(now, Unknown)  # it may only be slow
    else:
        assert run.RESET_TEXT in INIT.apply(host, now).fix  # type: ignore[union-attr]


def test_undo_resets_first_and_removes_the_files_then(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    converge(host, INIT)
    assert undo_plan.make(host, "run1").loses == (
        "the cluster that began on this node, with etcd's data and so with every object that is in it",
    )
    steps = [step.text for step in ledger.take_back(host, "run1")]
    assert steps[:3] == [f"`{run.RESET_TEXT}` ran", f"{kubeadm.CONFIG} removed", f"{kubeadm.ADMISSION} removed"]
    assert steps[3] == f"{kubeadm.UNDER_WAY} is already as before"
    assert ledger.runs(host) == ()


# -- join --------------------------------------------------------------------------------------------------------------
def test_a_node_joins_and_its_token_is_nowhere_afterwards(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    assert text(converge(host, JOIN)) == COMPLETE
    assert host.commands == [("kubeadm", "join", "--config", JOIN_FILE)]
    assert parse_yaml(host.seen[-1][1], "")["token"] == TOKEN
    left = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [each for each in left if TOKEN in each or KEY in each]
    assert host.read(kubeadm.KUBELET_PATCH) == "maxPods: 3\n"
    converge(host, JOIN)
    assert len(host.commands) == 1


def test_a_tokens_text_is_in_no_repr_state_or_error(tmp_path: Path) -> None:
    said = f'error execution phase preflight: couldn\'t validate: the bootstrap token "{TOKEN}" is bad; key {KEY}\n'
    for faults in (Faults(init=said), Faults(validate=said)):
        host = KubeadmHost(tmp_path / str(bool(faults.init)), faults=faults)
        error = failure(lambda host=host: converge(host, JOIN))  # type: ignore[misc]
        now = JOIN.look(host)
        shown = f"{JOIN!r} {now!r} {JOIN.target(now)!r} {JOIN.undo(now)!r} {error.problem} {error.cause} {error.fix}"
        assert not [secret for secret in (TOKEN, TOKEN.partition(".")[2], KEY) if secret in shown]
        assert host.stat(JOIN_FILE) is None


def test_killed_while_joining_the_next_run_takes_the_token_away(tmp_path: Path) -> None:
    whole = KubeadmHost(tmp_path / "whole")
    converge(whole, JOIN)
    for at in range(whole.changes * 2):
        with pytest.raises(Killed):
            converge(KubeadmHost(tmp_path / str(at), at), JOIN)
        host = KubeadmHost(tmp_path / str(at))
        assert text(converge(host, JOIN)) == COMPLETE
        assert host.stat(JOIN_FILE) is None


def test_a_node_that_is_half_in_is_told_from_one_that_is_in(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.BOOTSTRAP_CONF)
    assert text(JOIN.look(host)) == f"partial: {kubeadm.BOOTSTRAP_CONF} is there"
    host.path(kubeadm.BOOTSTRAP_CONF).unlink()
    host.plant(kubeadm.CA)
    assert text(JOIN.look(host)) == "absent"
    host.plant(kubeadm.KUBELET_CONF)
    host.faults.api = 'Error from server (NotFound): nodes "n" not found'
    assert text(JOIN.look(host)) == "partial: it has a kubelet.conf, but the cluster has no node n"
    host.faults.api = REFUSED
    assert isinstance(JOIN.look(host), Unknown)
    host.faults.api = ""
    host.plant("/cluster")
    assert text(JOIN.look(host)) == COMPLETE
    host.plant(kubeadm.BOOTSTRAP_CONF)  # kubeadm takes it away once the kubelet has its certificate
    assert text(JOIN.look(host)).startswith("partial: ")
    host.path(kubeadm.BOOTSTRAP_CONF).unlink()
    other = replace(JOIN, ca_hashes=("sha256:" + "0" * 64,))
    assert isinstance(other.look(host), Unknown)  # its ca.crt is none


# -- the key -----------------------------------------------------------------------------------------------------------
def test_the_key_is_made_once_and_for_root_only(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    key = EncryptionKey()
    assert key.look(host) == Absent()
    assert converge(host, key) == Known("there", 0o600)
    first = host.read(kubeadm.ENCRYPTION) or ""
    providers = parse_yaml(first, "")["resources"][0]["providers"]
    assert [next(iter(each)) for each in providers] == ["secretbox", "identity"]
    secret = providers[0]["secretbox"]["keys"][0]["secret"]
    assert len(base64.b64decode(secret)) == 32
    host.path(kubeadm.ENCRYPTION).chmod(0o644)
    assert converge(host, key) == Known("there", 0o600)
    assert host.read(kubeadm.ENCRYPTION) == first
    written = [path.read_text() for path in (tmp_path / "var").rglob("*") if path.is_file()]
    assert not [each for each in written if secret in each]
    assert "can be read with this key only" in key.undo(Absent()).text


def test_two_keys_differ(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        host = KubeadmHost(tmp_path / name)
        converge(host, EncryptionKey())
        texts.append(host.read(kubeadm.ENCRYPTION))
    assert texts[0] != texts[1]


def test_killed_while_the_key_is_written_there_is_a_whole_one_or_none(tmp_path: Path) -> None:
    for at in (0, 1, 2, 3):
        with pytest.raises(Killed):
            converge(KubeadmHost(tmp_path / str(at), at), EncryptionKey())
        assert converge(KubeadmHost(tmp_path / str(at)), EncryptionKey()) == Known("there", 0o600)


def test_no_key_is_made_for_a_cluster_that_has_none_or_lost_it(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.MANIFESTS[1], "- --profiling=false\n")
    now = EncryptionKey().look(host)
    assert EncryptionKey().target(now) == now == Known("the cluster was begun without it")
    host.plant(kubeadm.MANIFESTS[1], f"- --encryption-provider-config={kubeadm.ENCRYPTION}\n")
    assert isinstance(EncryptionKey().look(host), Unknown)


# -- kubeconfig --------------------------------------------------------------------------------------------------------
def config(home: str = "/root", uid: int = 0, gid: int = 0) -> Kubeconfig:
    return Kubeconfig(File(f"{home}/.kube/config", mode=0o600), File(kubeadm.ADMIN), uid, gid)


def test_before_init_a_kubeconfig_is_provisional_and_afterwards_it_is_admin_conf(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    assert config().look(host) == Unknown("known once kubeadm has written admin.conf")
    host.plant(kubeadm.ADMIN, ADMIN_TEXT.format(ca="NEW"))
    assert text(converge(host, config())) == "as admin.conf"
    assert host.read("/root/.kube/config") == ADMIN_TEXT.format(ca="NEW")
    assert host.stat("/root/.kube/config").mode == 0o600  # type: ignore[union-attr]
    now = config().look(host)
    assert config().target(now) == now
    assert all(step.done for step in ledger.take_back(host, "run1"))
    assert host.stat("/root/.kube/config") is None


def test_a_stale_kubeconfig_is_replaced_and_that_of_another_cluster_stays(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.ADMIN, ADMIN_TEXT.format(ca="NEW"))
    host.plant("/root/.kube/config", ADMIN_TEXT.format(ca="OLD"))
    now = config().look(host)
    assert text(now) == "of an earlier cluster"
    assert config().target(config().target(now)) == config().target(now)
    converge(host, config())
    assert "NEW" in (host.read("/root/.kube/config") or "")
    assert [step.text for step in ledger.take_back(host, "run1")] == ["/root/.kube/config restored"]
    assert "OLD" in (host.read("/root/.kube/config") or "")
    host.plant("/root/.kube/config", "clusters: [{name: x, cluster: {server: 'https://else:6443'}}]\n")
    now = config().look(host)
    assert config().target(now) == now


@pytest.mark.root
def test_a_users_kubeconfig_is_his(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.ADMIN, ADMIN_TEXT.format(ca="NEW"))
    (tmp_path / "home/ann").mkdir(parents=True)
    converge(host, config("/home/ann", 1234, 1235))
    owner = host.stat("/home/ann/.kube/config")
    assert owner is not None
    assert (owner.uid, owner.gid, owner.mode) == (1234, 1235, 0o600)
    assert host.stat("/home/ann/.kube").uid == 1234  # type: ignore[union-attr]


def test_no_key_is_written_through_a_link(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    host.plant(kubeadm.ADMIN, ADMIN_TEXT.format(ca="NEW"))
    (tmp_path / "home/ann").mkdir(parents=True)
    (tmp_path / "home/ann/.kube").symlink_to("/etc")
    assert isinstance(config("/home/ann", 1234, 1235).look(host), Unknown)


def test_an_init_that_was_cut_short_at_its_last_steps_is_finished_and_not_begun_again(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(init="error execution phase addon/coredns: timed out"))
    with pytest.raises(CaasError, match="addon/coredns"):
        converge(host, INIT)
    host.plant("/cluster")  # kubeadm-config was uploaded before
    frozen = {file.path: host.read(file.path) for file in MEMBERS}
    now = INIT.look(host)
    assert text(now) == UNFINISHED
    assert INIT.target(INIT.target(now)) == INIT.target(now)
    assert INIT.undo(now).first == ()
    host.commands.clear()
    assert text(converge(host, INIT)) == COMPLETE
    phases = [" ".join(argv[3:-2]) for argv in host.commands]
    assert phases == [
        "mark-control-plane",
        "bootstrap-token --skip-token-print",
        "kubelet-finalize all",
        "addon coredns",
    ]
    assert {file.path: host.read(file.path) for file in MEMBERS} == frozen
    host.commands.clear()
    converge(host, INIT)
    assert host.commands == []


def test_with_a_kube_proxy_it_is_one_of_the_last_steps(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path)
    converge(host, INIT)
    host.plant(kubeadm.UNDER_WAY)
    converge(host, replace(INIT, addons=("coredns", "kube-proxy")))
    assert [argv[4] for argv in host.commands if argv[3:4] == ("addon",)] == ["coredns", "kube-proxy"]


def test_undo_of_an_init_that_failed_leaves_no_word_of_it(tmp_path: Path) -> None:
    host = KubeadmHost(tmp_path, faults=Faults(init="error execution phase certs: no"))
    with pytest.raises(CaasError):
        converge(host, INIT)
    assert host.stat(kubeadm.UNDER_WAY) is not None
    assert all(step.done for step in ledger.take_back(host, "run1"))
    assert host.stat(kubeadm.UNDER_WAY) is None
