"""Secrets never reach the disk: what looks like one, or is named like one, is masked.

Masked are values whose name says so (`hub_token`, `--api-key`, `db.password`) and texts that look like a key
wherever they stand (`hf_...`, `sk-...`, `ghp_...`, AWS, Google and Slack keys, JSON web tokens, PEM blocks,
passwords in addresses, long random strings). Kept are what only resembles them: special tokens, numbers of
tokens, commits and other hexadecimal hashes, paths, names of models. Environment variables are never read
for storage, so they need no mask. What this cannot see: a password of plain words under a name that says
nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"
_PIECES = 3.1  # letters of a piece, on average
_DEPTH = 12
_ITEMS = 1000
_TEXT = 2000

_PREFIXES = (
    "hf_ api_org_ sk- sk_live_ sk_test_ rk_live_ gh[opusr]_ github_pat_ glpat- npm_ pypi- dckr_pat_ gsk_ r8_ "
    "pplx- xai- nvapi- tskey- dop_v1_ lsv2_ tgp_v1_ wandb_v1_ rpa_ xox[abeoprs]- shpat_ ya29[.] SG[.]"
)
_KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # JSON web token
    rf"|\b(?:{'|'.join(_PREFIXES.split())})(?=[A-Za-z_-]{{0,30}}\d|\w{{20}})[\w.-]{{10,}}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}"
    r"|\bhooks\.slack\.com/[\w/-]+|\bdiscord(?:app)?\.com/api/webhooks/[\w/-]+",
    re.DOTALL,
)
# `git@` is the name that every address of git over SSH has.
_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)(?!git@)[^\s@\"'<>]+@(?=[\w.-]+)", re.IGNORECASE)
_SIGNED = re.compile(r"([?&](?:sig|[\w-]*signature|[\w-]*token|code)=)[^&\s\"']+", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?<![\w.-])([\w.-]{1,100})(?:[\"']?\s*[=:]\s*|\s+(?=[^\s-]))")
_VALUE = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^\s\"'&,;]+)")
_BEARER = re.compile(r"\b(Bearer|(?:Basic|[Tt]oken)(?=\s+\S*\d))\s+([\w.~+/=-]{12,})")
_LOGIN = re.compile(r"(\blogin\s+(?:--?[\w-]+\s+)*)[0-9a-f]{32,}\b")
_RUN = re.compile(r"[A-Za-z0-9+/=]{24,}")
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|.")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_OPAQUE = re.compile(r"(?=(?:\D*\d){4})(?=.*[A-Za-z])[A-Za-z0-9+=-]{16,}")

_SECRET = frozenset(
    "apikey bearer credential credentials passphrase passwd password passwords pwd secret secrets".split()
)
_LAST = frozenset("authorization cookie cookies pass pw".split())  # secret as the last word of a name
_BEFORE_PASS = frozenset("admin auth db http imap mysql postgres proxy redis root smtp user".split())
_BEFORE_KEY = frozenset(
    "access account anthropic api auth aws azure clearml comet encryption gemini github google hf hub "
    "huggingface license mistral neptune openai private secret signing ssh swanlab together wandb".split()
)
_BEFORE_TOKEN = frozenset(
    "access api auth bearer bot github gitlab hf hub huggingface id login my personal read refresh security "
    "session slack user wandb write".split()
)


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret ("hub_token": yes; "pad_token", "max_tokens": no)."""
    words = [word.lower() for word in _WORDS.findall(name)]
    own = [word.lower() for word in _WORDS.findall(name.rpartition(".")[2])]
    if own and own[-1] in _LAST and (own[-1] != "pass" or len(own) == 1 or own[-2] in _BEFORE_PASS):
        return True
    for before, word in zip(["", *words], words, strict=False):
        if word in _SECRET or (word in ("key", "keys") and before in _BEFORE_KEY):
            return True
        if word == "token" and (before in _BEFORE_TOKEN or len(own) == 1):
            return True
    return False


def mask_text(text: str) -> str:
    """`text` with everything in it that looks like a secret replaced by `***`."""
    text = _KNOWN.sub(MASK, text)
    text = _ADDRESS.sub(rf"\1{MASK}@", text)
    text = _SIGNED.sub(rf"\1{MASK}", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _LOGIN.sub(rf"\1{MASK}", text)
    text = _without_assigned(text)
    return _RUN.sub(lambda run: MASK if _is_random(run[0]) else run[0], text)


def _without_assigned(text: str) -> str:
    """`text` without the values of `password=...`, `"password": "..."`, `--password ...`."""
    kept = []
    at = 0
    for found in _ASSIGNED.finditer(text):
        name = found[1]
        # Names are words of a sentence as well: without a sign, only an option is followed by its value.
        by_space = found[0][len(name) :].isspace()
        if found.start() < at or (by_space and not name.startswith("-")) or not _may_hide(name):
            continue
        value = _VALUE.match(text, found.end())
        if value and _hides(name, value[value.lastindex or 0]):
            kept += [text[at : value.start(value.lastindex or 0)], MASK]
            at = value.end(value.lastindex or 0)
    return "".join([*kept, text[at:]])


def _may_hide(name: str) -> bool:
    """Whether the value of a setting of this name has to be looked at."""
    return is_secret_name(name) or name.lower().endswith(("key", "auth"))


def _hides(name: str, value: str) -> bool:
    """Whether a value of this name is a secret."""
    if len(value) < 3 or _is_harmless(value):
        return False
    if is_secret_name(name):
        return True
    last = (_WORDS.findall(name) or [""])[-1].lower()
    return last == "key" and bool(_OPAQUE.fullmatch(value)) or (last == "auth" and ":" in value)


def _is_random(run: str) -> bool:
    """Whether letters of both cases and digits are mixed as only chance mixes them.

    Paths, words joined by capitals and hexadecimal hashes are not: they fall into longer pieces (words,
    numbers) than random strings, of which 99 % lie below the bar.
    """
    run = run.rstrip("=")
    # A slash parts a path, but keys of AWS have them too, and are of one length.
    part = run.replace("/", "") if len(run) == 40 else max(run.split("/"), key=len)
    if not (re.search("[a-z]", part) and re.search("[A-Z]", part) and re.search(r"\d", part)):
        return False
    return len(part) >= 24 and len(part) < _PIECES * len(_PIECE.findall(part))


def mask_arguments(argv: Sequence[str]) -> list[str]:
    """A command line for the record: `--api-key X`, `hub_token=X` and what looks like a key are masked."""
    masked = []
    option = ""
    for argument in map(str, argv):
        if (
            option
            and not (argument.startswith("--") and len(argument) > 2)
            and _hides_value(option, argument)
        ):
            masked.append(MASK)
            option = ""
            continue
        name, equals, value = argument.partition("=")
        if equals and re.fullmatch(r"[\w.+~-]+", name) and _hides_value(name, value):
            masked.append(f"{name}={MASK}")
        else:
            masked.append(mask_text(argument))
        option = argument if argument.startswith("-") and not equals else ""
    return masked


def _hides_value(name: str, value: str) -> bool:
    """As `_hides`, where the whole of `value` is the value: one letter may be a password, too."""
    return _hides(name, value) or (is_secret_name(name) and not _is_harmless(value))


def mask_mapping(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings as JSON can hold them, nested as they are, with the secrets in them masked."""
    return {_KNOWN.sub(MASK, str(key)): _masked(value, str(key), False, 1) for key, value in settings.items()}


def _masked(value: Any, name: str, inherited: bool, depth: int) -> Any:
    """`value` of the setting `name`; `inherited` says that a name above it is that of a secret."""
    secret = inherited or is_secret_name(name)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return MASK if secret and abs(value) > 999 else value  # a PIN is no switch
    if isinstance(value, str):
        hidden = (secret and not _is_harmless(value)) or _hides_value(name, value)
        return MASK if hidden else mask_text(value[:_TEXT])
    if depth > _DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            _KNOWN.sub(MASK, str(key)): _masked(inner, _within(name, str(key)), secret, depth + 1)
            for key, inner in list(value.items())[:_ITEMS]
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        kept = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
        return [_masked(inner, name, secret, depth + 1) for inner in kept[:_ITEMS]]
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    return MASK if secret else mask_text(_named(value)[:_TEXT])


def _within(outer: str, name: str) -> str:
    """The name of a nested setting: `key` alone says nothing, `wandb.key` does."""
    return f"{outer}.{name}" if name.lower() in ("key", "keys") else name


def _is_harmless(value: str) -> bool:
    return value.strip().lower() in ("", "none", "null", "true", "false", "0", "1", MASK)


def _named(value: Any) -> str:
    """A text for a value that JSON has none for; addresses in memory would differ at every start."""
    text = str(value)
    return type(value).__qualname__ if " at 0x" in text else text
