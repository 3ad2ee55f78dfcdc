"""Secrets never reach the disk: what looks like one, or is named like one, is masked.

Masked are texts whose name says so (`hub_token`, `--api-key`, `db.password`) and texts that look like a key
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
_DEPTH = 12
_ITEMS = 1000
_TEXT = 2000

_KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"  # JSON web token
    r"|\b(?:hf_|sk-|sk_live_|sk_test_|rk_live_|gh[opusr]_|github_pat_|glpat-|npm_|pypi-|dckr_pat_)[\w-]{10,}"
    r"|\bxox[abeoprs]-[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bAIza[\w-]{30,}",
    re.DOTALL,
)
_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_ASSIGNED = re.compile(r"([\w.-]+)\s*[=:]\s*[\"']?")
_VALUE = re.compile(r"[^\s\"'&,;]{3,}")
_BEARER = re.compile(r"\b(Bearer|Basic|token)\s+([\w.~+/=-]{12,})")
_RUN = re.compile(r"[A-Za-z0-9+/=]{24,}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_SECRET = frozenset(
    "apikey authorization bearer credential credentials passphrase passwd password passwords pwd secret "
    "secrets".split()
)
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
    for before, word in zip(["", *words], words, strict=False):
        if word in _SECRET or (word in ("key", "keys") and before in _BEFORE_KEY):
            return True
        if word == "token" and (before in _BEFORE_TOKEN or len(words) == 1):
            return True
    return False


def mask_text(text: str) -> str:
    """`text` with everything in it that looks like a secret replaced by `***`."""
    text = _KNOWN.sub(MASK, text)
    text = _ADDRESS.sub(rf"\1{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _without_assigned(text)
    return _RUN.sub(lambda m: MASK if _is_random(m[0]) else m[0], text)


def _without_assigned(text: str) -> str:
    """`text` without the values of assignments such as `password=...`."""
    kept = []
    at = 0
    for name in _ASSIGNED.finditer(text):
        value = _VALUE.match(text, name.end())
        if value and name.start() >= at and is_secret_name(name[1]):
            kept += [text[at : name.end()], MASK]
            at = value.end()
    return "".join([*kept, text[at:]])


def _is_random(run: str) -> bool:
    """Whether letters of both cases and digits are mixed as only chance mixes them.

    Paths, words joined by capitals and hexadecimal hashes are not.
    """
    part = max(run.rstrip("=").split("/"), key=len)
    if len(part) < 24 or not (
        re.search("[a-z]", part) and re.search("[A-Z]", part) and re.search(r"\d", part)
    ):
        return False
    switches = sum(_kind(a) != _kind(b) for a, b in zip(part, part[1:], strict=False))
    entropy = -sum(part.count(c) / len(part) * math.log2(part.count(c) / len(part)) for c in set(part))
    return entropy > 3.5 and switches > 0.35 * len(part)


def _kind(character: str) -> int:
    return 0 if character.islower() else 1 if character.isupper() else 2 if character.isdigit() else 3


def mask_arguments(argv: Sequence[str]) -> list[str]:
    """A command line for the record: `--api-key X`, `hub_token=X` and what looks like a key are masked."""
    masked = []
    hide_next = False
    for argument in map(str, argv):
        if hide_next and not (argument.startswith("--") and len(argument) > 2):
            masked.append(MASK)
            hide_next = False
            continue
        hide_next = False
        name, equals, _ = argument.partition("=")
        if equals and is_secret_name(name) and not _is_harmless(argument[len(name) + 1 :]):
            masked.append(f"{name}={MASK}")
            continue
        hide_next = argument.startswith("-") and not equals and is_secret_name(argument)
        masked.append(mask_text(argument))
    return masked


def mask_mapping(settings: Mapping[Any, Any]) -> dict[str, Any]:
    """Settings as JSON can hold them, nested as they are, with the secrets in them masked."""
    return {
        str(key): _masked(value, str(key), is_secret_name(str(key)), 1) for key, value in settings.items()
    }


def _masked(value: Any, name: str, secret: bool, depth: int) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        if secret and not _is_harmless(value):
            return MASK
        return mask_text(value[:_TEXT])
    if depth > _DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(key): _masked(inner, str(key), secret or _is_secret_within(name, str(key)), depth + 1)
            for key, inner in list(value.items())[:_ITEMS]
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        kept = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
        return [_masked(inner, name, secret, depth + 1) for inner in kept[:_ITEMS]]
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    return MASK if secret else mask_text(_named(value)[:_TEXT])


def _is_secret_within(outer: str, name: str) -> bool:
    """Whether a nested setting holds a secret: `key` alone says nothing, `wandb.key` does."""
    return is_secret_name(f"{outer}.{name}" if name.lower() in ("key", "keys") else name)


def _is_harmless(value: str) -> bool:
    return value.strip().lower() in ("", "none", "null", "true", "false", "0", "1", MASK)


def _named(value: Any) -> str:
    """A text for a value that JSON has none for; addresses in memory would differ at every start."""
    text = str(value)
    return type(value).__qualname__ if " at 0x" in text else text
