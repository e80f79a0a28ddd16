"""What kubectl prints when the API server refuses something, as problem, cause and fix."""

from __future__ import annotations

import re
from typing import NamedTuple

AGAIN = "then run the same command again"
_LONGEST = 300


class Refusal(NamedTuple):
    problem: str
    cause: str
    fix: str


# Of the API server and kubectl: staging/src/k8s.io/kubectl/pkg/cmd/apply, apiserver/pkg/endpoints/handlers/fieldmanager.
_KNOWN = (
    (
        r'Apply failed with \d+ conflicts?: conflicts? with "(?P<who>[^"]+)"',
        "fields of it belong to {who}",
        "find out what {who} is and stop it from writing this object, {again}",
    ),
    (
        r"because it is being terminated",
        "its namespace is being deleted",
        "wait until `kubectl get namespaces` no longer shows it, {again}",
    ),
    (
        r"(?:The connection to the server \S+ was refused|connection refused|i/o timeout|no route to host|EOF|TLS handshake timeout|context deadline exceeded|Unable to connect)",
        "the API server does not answer",
        "`crictl ps -a --name kube-apiserver` shows whether it runs; mend that, {again}",
    ),
    (
        r"admission webhook \"(?P<who>[^\"]+)\" denied",
        "the webhook {who} denies it",
        "let {who} allow what caasctl makes, {again}",
    ),
    (
        r"is forbidden|Forbidden",
        "the API server forbids it",
        "mend what its reason names, {again}",
    ),
    (
        r"field is immutable|is immutable",
        "a field that cannot be changed differs",
        "delete the object (`kubectl delete`), {again}",
    ),
)


def refusal(text: str) -> Refusal:
    """cause: the last words, which are the API server's own."""
    cause = reason(text)
    for pattern, problem, fix in _KNOWN:
        found = re.search(pattern, text)
        if found:
            words = {**found.groupdict(), "again": AGAIN}
            return Refusal(_filled(problem, words), cause, _filled(fix, words))
    return Refusal("kubectl failed", cause, f"mend what it names, {AGAIN}")


def reason(stderr: str) -> str:
    """The line with the error, else the last: kubectl prints warnings before it, and help behind it."""
    lines = [line.strip() for line in stderr.strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("Error", "error", "Unable", "The connection"))]
    return ((errors or lines or ["it says nothing"])[-1])[:_LONGEST]


def _filled(template: str, words: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: words[name[1]], template)
