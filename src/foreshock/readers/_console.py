"""What every console reader needs: clean lines out of a captured terminal, and numbers out of text.

Nothing here evaluates what it reads. Memory is bounded: a line longer than `LONGEST` is left out whole
(cut in the middle it could end in half a number) and counted.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from foreshock.readers._log import Log

LONGEST = 1 << 20
"""Longest line that is read, in characters; longer ones hold no metrics that a person would print."""
DEEP = 8 << 20
"""How far into a file `recognises` looks when the first metric line comes late, in bytes."""
_CHUNK = 1 << 20

MARKUP = (".md", ".markdown", ".rst")
"""Suffixes of documents: a log may be pasted into one, but one that only quotes a line or two is no log."""

# Files that a console log is never called; their own readers, or nobody, may claim them.
_OTHER_SUFFIXES = frozenset(
    ".csv .tsv .json .jsonl .ndjson .ipynb .py .pyi .js .ts .c .cpp .h .go .sh .toml .yaml .yml .cfg"
    " .parquet .html .htm .xml .tex .db .sqlite .wandb .zip .tar .png .jpg .pdf .pt .safetensors".split()
)

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)|[@-Z\\-_])")
# Ray puts "(TaskRunner pid=123, ip=10.0.0.1) " before each line of an actor, in colour; some copies keep
# "[36m" and lose the escape character.
_RAY = re.compile(
    r"^\s*(?:\[[\d;]{1,8}m)*\((?:[\w:.\-]+ )?pid=\d+(?:, ip=[\w.:]+)?\)(?:\s?\[[\d;]{1,8}m)*\s?"
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:_\d{3})*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$")
_WRAPPED = re.compile(
    r"(?:(?:np|numpy|torch|jnp|jax\.numpy)\.)?(?:float\d*|int\d*|uint\d*|bfloat16|double|tensor|array|Tensor|Array)"
    r"\(\s*\[?\s*([^\s,\[\]()]+)\s*\]?\s*(?:,[^()]*(?:\([^()]*\)[^()]*)?)?\)$"
)
_SPECIAL = {
    "nan": float("nan"),
    "+nan": float("nan"),
    "-nan": float("nan"),
    "inf": float("inf"),
    "+inf": float("inf"),
    "-inf": float("-inf"),
    "infinity": float("inf"),
    "+infinity": float("inf"),
    "-infinity": float("-inf"),
}


class Lines:
    """The lines of a console log: decoded, without ANSI codes, carriage returns ending a line as well.

    Iterate it once. `unterminated` turns true while the last line is handed out if no line end follows
    it: its last word may be cut. `skipped` counts lines longer than `LONGEST`.
    """

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.unterminated = False
        self.skipped = 0
        self._path = path
        self._limit = limit

    def __iter__(self) -> Iterator[str]:
        rest, dropping = "", False
        for text in self._texts():
            lines = (rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
            rest = lines.pop()
            if dropping and lines:
                lines, dropping = lines[1:], False
            for line in lines:
                if len(line) > LONGEST:
                    self.skipped += 1
                else:
                    yield strip_ansi(line)
            if dropping:
                rest = ""
            elif len(rest) > LONGEST:
                self.skipped += 1
                rest, dropping = "", True
        if rest and not dropping:
            self.unterminated = True
            yield strip_ansi(rest)

    def _texts(self) -> Iterator[str]:
        """Decoded chunks; a carriage return at the end of one waits for the next."""
        left = self._limit
        with self._path.open("rb") as file:
            first = file.read(2)
            file.seek(0)
            # PowerShell redirection writes UTF-16 with a byte order mark.
            name = "utf-16" if first in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
            decoder = codecs.getincrementaldecoder(name)(errors="replace")
            held = ""
            while left is None or left > 0:
                data = file.read(_CHUNK if left is None else min(_CHUNK, left))
                if left is not None:
                    left -= len(data)
                text = held + decoder.decode(data, final=not data)
                held = ""
                if data and text.endswith("\r"):
                    text, held = text[:-1], "\r"
                yield text
                if not data:
                    return
            if held:
                yield held


def tell_skipped(log: Log, lines: Lines) -> None:
    """Note the lines that were too long to be read."""
    if lines.skipped:
        text = f"{lines.skipped} lines of more than {LONGEST:,} characters were left out"
        log.note("long-lines", text, lines.skipped)


def strip_ansi(line: str) -> str:
    """The line without terminal colour and cursor codes."""
    return _ANSI.sub("", line) if "\x1b" in line else line


def strip_ray(line: str) -> str:
    """The line without the "(TaskRunner pid=...)" that Ray writes before it."""
    return _RAY.sub("", line, count=1) if "pid=" in line else line


def number(text: str) -> float | None:
    """The number that a console printed, or None where the text is not exactly one number.

    Reads plain numbers, nan and infinities, numbers in quotes, `np.float64(0.5)`, `tensor(0.5, ...)`,
    thousands (`7,473`) and a percent sign, which is dropped: `12.5%` is 12.5.

    >>> number("'1.72e-08'"), number("np.float64(-0.5)"), number("7,473"), number("0.13%"), number("5 apples")
    (1.72e-08, -0.5, 7473.0, 0.13, None)
    """
    text = text.strip()
    if len(text) >= 2 and text[0] in "'\"" and text[-1] == text[0]:
        text = text[1:-1].strip()
    if _NUMBER.match(text):
        return float(text)
    special = _SPECIAL.get(text.lower())
    if special is not None:
        return special
    if text.endswith("%"):
        inner = text[:-1].rstrip()
        return float(inner) if _NUMBER.match(inner) else None
    if text.endswith(")"):
        wrapped = _WRAPPED.match(text)
        return number(wrapped.group(1)) if wrapped else None
    if "," in text and _THOUSANDS.match(text):
        return float(text.replace(",", ""))
    return None


def may_be_console(path: Path, head: bytes) -> bool:
    """Whether a file could be a captured console at all: text, and not of a format with its own reader."""
    if path.is_dir() or path.suffix.lower() in _OTHER_SUFFIXES or not head.strip():
        return False
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    if head.count(0) > len(head) // 200:
        return False
    first = head.lstrip(b"\xef\xbb\xbf \t\r\n").split(b"\n", 1)[0].rstrip()
    return not (first.startswith(b'{"') and first.endswith(b"}")) and not first.startswith(b"[{")


def head_text(head: bytes) -> str:
    """The head of a file as text."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", errors="replace")
    return head.decode("utf-8", errors="replace")
