"""Secrets in files and in what commands print, hidden in place: what is left is as well formed as before."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from caasctl.hidden import HIDDEN
from caasctl.redaction.lines import NOTHING, Lines, Need

_STRONG = (
    r"(?:pass(?:word|phrase)|(?:(?:client|shared|webhook|app)[_-]?secret)|secret[_-]?(?:access[_-]?)?key|access[_-]?key|api[_-]?key"
    r"|(?:auth|access|session|refresh|identity|bearer|registration|id)[_-]?token|(?:private|preshared|certificate|account)[_-]?key"
    r"|client-key-data|tls-bootstrap-token|discovery-token)"
)
_WEAK = r"(?:passwd|secret|token|auth|credentials?|authorization)"
# A value that is no secret: nothing, a switch, a path, a variable, a list, what is hidden already.
_NOT = r"""(?!\\*["']{2}|\\*["']?(?:\(hidden\)|(?:true|false|yes|no|on|off|null|none|nil)\b|[\[{$<(/|>&*~%]))"""
_VALUE = r"""(?P<secret>\\+"[^"\\\n]+\\+"|"(?:[^"\\\n]|\\.)+"|'[^'\n]+'|[^\s"',;}&\\]+)"""
_QUOTED = r"""(?P<secret>\\+"[^"\\\n]+\\+"|"(?:[^"\\\n]|\\.)+"|'[^'\n]+')"""
_EQUALS = r"""(?<=[\w])\\*["']?[ \t]*[:=][ \t]*"""
STRONG = re.compile(rf"(?i)(?P<kept>{_STRONG}{_EQUALS}){_NOT}{_VALUE}")
_WEAK_QUOTED = re.compile(rf"(?i)(?P<kept>{_WEAK}{_EQUALS}){_NOT}{_QUOTED}")
_WEAK_YAML = re.compile(rf"(?im)(?P<kept>^[ \t-]*(?:\w+-)?token:[ \t]*){_NOT}{_VALUE}")
_VARIABLE = re.compile(rf"(?P<kept>\b[A-Z0-9_]*(?:PASSWD|SECRET|TOKEN|PSK)=){_NOT}{_VALUE}")
_KEY_YAML = re.compile(
    rf"""(?m)(?P<kept>(?:^(?:[^\S\n]|-)*|[{{,]\s*)\\*["']?(?:key|secret)\\*["']?:[ \t]*){_NOT}(?P<secret>\\*["']?[\w+/=.-]{{40,}}\\*["']?)"""
)
_OPTION = re.compile(
    rf"""(?P<kept>--(?:(?:discovery-|tls-bootstrap-|bearer-)?token|certificate-key|password|pass)[ =]+){_NOT}(?P<secret>[^\s"',\\]{{6,}})"""
)
_HEADER = re.compile(r"""(?i)(?P<kept>\b(?:basic|bearer)[ \t]+)(?=[^\s\d]*\d)(?P<secret>[\w.~+/=-]{16,})""")
_LIST_HEADER = re.compile(r"""(?i)(?P<kept>["'](?:basic|bearer)[ \t]+)(?!\(hidden)(?P<secret>[^"'\n]+)""")
_AUTHORIZATION = re.compile(
    rf"""(?i)(?P<kept>authorization\\*["']?[ \t]*[:=][ \t]*\\*["']?(?:(?:basic|bearer|token|digest)[ \t]+)){_NOT}(?P<secret>[^\s"'\\]+)"""
)
URL = re.compile(r"""(?i)(?P<kept>\b[a-z][a-z0-9+.-]{0,20}://)(?P<secret>[^\s/:"']+:[^\s/"']+)(?=@)""")
PEM = re.compile(r"(?P<kept>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?! \(hidden\))(?P<secret>.*?)(?=-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)  # fmt: skip
BOOTSTRAP = re.compile(r"(?<![\w.-])(?P<kept>[a-z0-9]{6}\.)(?=[a-z]*[0-9])(?P<secret>[a-z0-9]{16})(?![\w.-])")
JWT = re.compile(r"(?P<kept>)(?P<secret>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)")
CLOUD = re.compile(
    r"(?P<kept>)(?P<secret>\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,}|gl(?:pat|dt|rt|cbt)-[\w-]{20,}"
    r"|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}|sk-[\w-]{32,}|nvapi-[\w-]{40,}|hf_[A-Za-z0-9]{30,}|dckr_(?:pat|oat)_[\w-]{20,}|npm_[A-Za-z0-9]{36}))"
)
HASH = re.compile(
    r"(?P<kept>)(?P<secret>\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2\w*|scrypt)\$[^\s:\"'\\]{8,}|\bgrub\.pbkdf2\.[\w.]{20,}|\{SSHA\d*\}[\w+/=]{16,})"
)
BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{20,}={0,2}(?![\w+/=-])")
_WORDS = Need("lower", (b"pass", b"secret", b"key", b"token", b"auth", b"credential", b"psk"))
_SCHEMES = Need("lower", (b"basic", b"bearer"))
_CLOUDS = Need("text", (b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-", b"gldt-", b"glrt-", b"glcbt-",
                        b"xox", b"AIza", b"sk-", b"nvapi-", b"hf_", b"dckr_", b"npm_"))  # fmt: skip


IN_URL = "password in a URL"


class Form(NamedTuple):
    """kind: the first word that is said of what was replaced. need: what stands in each line that it matches in."""

    kind: str
    pattern: re.Pattern[str]
    need: Need


_OVER_LINES = Form("private key", PEM, Need("text", (b"PRIVATE KEY-----",)))  # the one form that goes over lines
_IN_A_LINE = (
    Form("JSON web token", JWT, Need("text", (b"eyJ",))),
    Form("cloud or forge key", CLOUD, _CLOUDS),
    Form("password hash", HASH, Need("text", (b"$", b"grub.pbkdf2.", b"{SSHA"))),
    Form(IN_URL, URL, Need("no names", (b"://:@", b"://@:@", b"://::@", b"://:::@", b"://::::"))),
    Form("authorization header", _AUTHORIZATION, Need("lower", (b"authorization",))),
    Form("authorization header", _LIST_HEADER, _SCHEMES),
    Form("authorization header", _HEADER, _SCHEMES),
    *(Form("password, key or token", pattern, _WORDS) for pattern in (STRONG, _OPTION, _WEAK_QUOTED, _WEAK_YAML, _VARIABLE, _KEY_YAML)),
    Form("bootstrap token", BOOTSTRAP, Need("small", (b"aaaaaa.aaaaaaaaaaaaaaaa",))),
)  # fmt: skip
FORMS = (_OVER_LINES, *_IN_A_LINE)
# Of these nothing but the form itself speaks: they are looked for in what other encodings say, whatever that is.
CERTAIN = FORMS[:4]
_OBJECT = "object of kind Secret"
_SECRET_JSON = re.compile(r'"kind":\s*"Secret(?:List)?"')
_SECRET_YAML = re.compile(r"(?m)^[ \t-]*kind:[ \t]*[\"']?Secret[\"']?[ \t]*$")
_DOCUMENTS = re.compile(r"(?m)(^---.*\n|^- (?=apiVersion:))")
_DATA_YAML = re.compile(r"(?m)(^([ \t]*)(?:data|stringData):[ \t]*\n)((?:\2[ \t]+.*(?:\n|\Z))+)")
_VALUE_YAML = re.compile(
    r"(?m)^(?P<kept>(?P<indent>[ \t]+)[\w.-]+:[ \t]*)(?P<secret>[|>][-+0-9]*[ \t]*(?:\n(?P=indent)[ \t]+.*)+|\S.*)$"
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SHORTEST = 8  # to hide a shorter one wherever it stands would make riddles of what is said
_LONG = 16
Meet = Callable[[str, str], None]


def without(text: str, meet: Meet) -> Lines:
    """The text with all secrets of a known form hidden. meet: gets each one's kind and value."""

    def hide(kind: str) -> Callable[[re.Match[str]], str]:
        def one(found: re.Match[str]) -> str:
            meet(kind, found["secret"])
            return found["kept"] + _in_its_place(found["secret"], found["kept"], kind)

        return one

    text = _of_secrets(text, meet)
    if "PRIVATE KEY-----" in text:
        text = PEM.sub(hide(_OVER_LINES.kind), text)
    lines = Lines(text)
    for form in _IN_A_LINE:
        lines.sub(form.pattern, hide(form.kind), form.need)
    hide_words(lines, _says_a_secret, lambda token: meet("secret in base64", token))
    return lines


def hide_words(lines: Lines, bad: Callable[[str], bool], meet: Callable[[str], None]) -> None:
    """Hides the words in base64 that are bad. meet: gets each of them as often as it stands there."""
    told = {token for token in set(BASE64.findall(lines.words())) if bad(token)}

    def one(found: re.Match[str]) -> str:
        if found[0] not in told:
            return found[0]
        meet(found[0])
        return HIDDEN

    if told:
        lines.sub(BASE64, one, NOTHING)


def matches(lines: Lines, form: Form) -> Iterator[re.Match[str]]:
    if form.pattern is not PEM:
        yield from lines.found(form.pattern, form.need)
    elif lines.having(form.need):
        yield from PEM.finditer(lines.text)


def _in_its_place(secret: str, kept: str, kind: str) -> str:
    """What stands where a secret stood: in its quotes; in quotes behind a YAML key, as a recording always had it."""
    if kind == "private key":
        return f" {HIDDEN} "
    quote = re.match(r"\\*[\"']", secret)
    if quote:
        return f'"{HIDDEN}"' if quote[0] in "'\"" else f"{quote[0]}{HIDDEN}{quote[0]}"
    return f'"{HIDDEN}"' if kept.rstrip(" \t").endswith(":") and kind.startswith("password, ") else HIDDEN


def _says_a_secret(token: str) -> bool:
    """What base64 hides is a secret where what it says holds one: a kubeconfig, a key, a token, an account of a registry."""
    inner = decoded(token)
    return inner is not None and any(form.pattern.search(inner) for form in FORMS)


def decoded(token: str) -> str | None:
    """The text that a word is the base64 of; None where it is that of no text."""
    plain = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return text if all(sign.isprintable() or sign in "\r\n\t" for sign in text) else None


def plain(secret: str) -> Iterator[str]:
    """The values to look for elsewhere, of what a pattern found: without quotes, line by line, and without a URL's escapes."""
    secret = re.sub(r"^\\*[\"']|\\*[\"']$", "", secret.strip())
    lines = secret.replace("\\n", "\n").split("\n") if "\n" in secret or "\\n" in secret else [secret]
    for line in (line.strip() for line in lines):
        yield from (one for one in (line, unquote(line)) if telling(one))


def telling(secret: str) -> bool:
    """Whether a value is found by mistake nowhere: no word that other texts have as well."""
    mixed = any(sign.isdigit() for sign in secret) and any(sign.isalpha() for sign in secret)
    return HIDDEN not in secret and len(secret) >= _SHORTEST and (mixed or len(secret) >= _LONG)


# -- objects of a cluster ----------------------------------------------------------------------------------------------
def _of_secrets(text: str, meet: Meet) -> str:
    if _SECRET_JSON.search(text):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return text
        _hide_data(data, meet)
        return json.dumps(data, indent=4 if "\n" in text.strip() else None, ensure_ascii=False)
    if not _SECRET_YAML.search(text):
        return text
    return "".join(_of_yaml(part, meet) if _SECRET_YAML.search(part) else part for part in _DOCUMENTS.split(text))


def _hide_data(data: Any, meet: Meet) -> None:
    """In place: the values of a Secret, wherever it is in a list. Any: what kubectl printed."""
    todo = [data]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += one.values()
            if one.get("kind") == "Secret":
                _hide_values(one, meet)
        elif isinstance(one, list):
            todo += one


def _hide_values(secret: dict[str, Any], meet: Meet) -> None:
    noted = (secret.get("metadata") or {}).get("annotations") or {}
    for values in (secret.get("data"), secret.get("stringData"), noted):
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and value != HIDDEN and (values is not noted or name == _LAST_APPLIED):
                values[name] = HIDDEN  # type: ignore[index] # a dict: it has items
                meet(_OBJECT, value)


def _of_yaml(document: str, meet: Meet) -> str:
    def value(found: re.Match[str]) -> str:
        if HIDDEN not in found["secret"]:
            meet(_OBJECT, found["secret"])
        return f'{found["kept"]}"{HIDDEN}"'

    return _DATA_YAML.sub(lambda block: block[1] + _VALUE_YAML.sub(value, block[3]), document)
