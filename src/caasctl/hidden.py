"""What is never shown: secrets in foreign configuration by their key's name, in what commands print by their form, and a run's own."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "(hidden)"
_NAME = r"[\w.-]*(?:password|passwd|secret|token|auth|api[_-]?key|private[_-]?key|credentials?|authorization)"
_KEY = re.compile(rf"(?i){_NAME}")
_SETTING = re.compile(
    rf"""(?im)(["']?\b{_NAME}["']?[ \t]*[=:][ \t]*)(?!["']{{2}}|[\[{{]|(?:true|false)\b)("[^"\n]*"|'[^'\n]*'|[^\s,}}]+)"""
)
_LIST = re.compile(rf"""(?im)(["']?\b{_NAME}["']?[ \t]*[=:][ \t]*)\[[ \t]*["'][^\]\n]*\]""")
_HEADER = re.compile(r"""(?i)(["'](?:basic|bearer)[ \t]+)[^"'\n]+""")  # of HTTP, as containerd's registries have it
_IN_URL = re.compile(
    r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/:]+:[^\s/]+@", re.IGNORECASE
)  # up to the last @, as a client reads it
_SIGNED = re.compile(
    r"""(?i)([?&](?:sig|[\w-]*signature)=)[^&\s"'()]+"""
)  # of an address that is good for whoever has it
# In what commands print: bootstrap tokens, options of kubeadm and helm, keys in PEM or on a line of their own.
_TOKEN = re.compile(r"(?<![\w.-])([a-z0-9]{6}\.)(?=[a-z]*[0-9])[a-z0-9]{16}(?![\w.-])")
_OPTION = re.compile(r"(--(?:(?:discovery-|tls-bootstrap-)?token|certificate-key|password)[ =]+)[^\s\"',]{6,}")
_FIELD = re.compile(r"""(?i)((?:client-key-data|certificate-?key)["']?[ \t]*[=:][ \t]*)["']?[\w+/=-]{8,}["']?""")
_LINE = re.compile(r"(?m)^([ \t]*)[A-Za-z0-9+/]{60,}={0,2}[ \t]*$")
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# In the files of a run: what is remembered, so that it is hidden wherever it comes back.
_OWN = re.compile(
    rf"""(?im)["']?\b(?:{_NAME}|client-key-data|certificatekey)["']?[ \t]*[=:][ \t]*["']?([^\s"',/{{}}\[\]][^\n"',}}]*)"""
)
_OWN_KEY = re.compile(
    r"""(?im)\bkeys?["']?:[ \t]*["']?([\w+/=]{20,})["']?[ \t]*$"""
)  # a taint's key has other characters
_BEFORE_AT = re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:]+:([^\s/]+)@", re.IGNORECASE)
_SHORTEST = 6  # to hide a shorter one everywhere would make riddles of what is said


def masked(text: str) -> str:
    """The text with the values of secret-looking keys, and of URLs the user part with a password and the signature, hidden.

    Idempotent.
    """
    for pattern in (_LIST, _SETTING, _HEADER, _SIGNED):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _IN_URL.sub(rf"\1{HIDDEN}@", text)


def without_logins(text: str) -> str:
    """The text with user and password of every URL hidden, and its signature, and nothing else."""
    return _SIGNED.sub(rf"\1{HIDDEN}", _IN_URL.sub(rf"\1{HIDDEN}@", text))


def is_secret(key: str, value: object) -> bool:
    """Whether a key's value is one to hide: a text that is not empty, or a list with one, under a secret's name."""
    texts = value if isinstance(value, (list, tuple)) else (value,)
    return any(isinstance(text, str) and text for text in texts) and _KEY.fullmatch(key) is not None


def setting(text: str) -> str:
    """`key.path=value`, its value hidden where the key, or one in the value, is a secret's."""
    key, equals, value = text.partition("=")
    return f"{key}={HIDDEN}" if equals and is_secret(key.rpartition(".")[2], value) else masked(text)


def said(text: str) -> str:
    """What a command printed, with everything hidden that has the form of a secret."""
    text = _PEM.sub(rf"\1 {HIDDEN}", text) if "PRIVATE KEY-----" in text else text
    for pattern in (_TOKEN, _OPTION, _FIELD, _LINE, _SIGNED):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return _IN_URL.sub(rf"\1{HIDDEN}@", text)


class Secrets:
    """The secrets that a run has met. They are forgotten with it."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def add(self, values: Iterable[str]) -> None:
        """Secrets as such; of a bootstrap token also the half that stands alone in some messages."""
        for value in values:
            self._known |= {part for part in (value, value.rpartition(".")[2]) if len(part) >= _SHORTEST}

    def add_of(self, text: str) -> None:
        """The secrets in the text of a file, by their keys' names and in URLs."""
        self.add(found.strip() for pattern in (_OWN, _OWN_KEY, _BEFORE_AT) for found in pattern.findall(text))

    def without(self, text: str) -> str:
        """The text with every secret hidden, the longest first."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return said(text)
