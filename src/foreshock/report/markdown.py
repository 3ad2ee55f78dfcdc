"""The document as Markdown: for pull requests, chats and agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.report._numbers import one_line

# "< " cannot begin HTML; a colon matters only in "://", a full stop only after "www".
_SPECIAL = re.compile(r"[\\`*_{}\[\]>#|~$&@]|<(?! )|:(?=//)|(?<=www)\.")


def render(document: Mapping[str, Any], *, charts: str | None = "charts.png") -> str:
    """The report as Markdown; `charts` is the image it shows, None for none.

    Everything that comes from the log is escaped: it can neither format nor link nor inject HTML.
    """
    run = document["run"]
    lines = [f"# {escape(run['id'])}", ""]
    lines += [f"**Verdict: {document['verdict']}.**", ""]
    if charts:
        lines += [f"![The charts of this run by training step]({charts})", ""]
    for section in document["narrative"]:
        lines += [f"## {escape(section['title'])}", ""]
        lines += [f"- {prose(sentence['text'])}" for sentence in section["text"]]
        if section["text"]:
            lines.append("")
        if section["table"]:
            lines += [*table(section["table"]), ""]
    lines.append(
        f"Made by foreshock {document['version']} ({document['schema']}) from {code(run['source'])}."
    )
    return "\n".join(lines) + "\n"


def table(content: Mapping[str, Any]) -> list[str]:
    """A pipe table, cells escaped, columns of numbers aligned to the right."""
    numeric = {entry["column"] for entry in content["numbers"]}
    sides = ["---:" if column in numeric else "---" for column in range(len(content["columns"]))]
    lines = [_row([escape(name) for name in content["columns"]]), "|" + "|".join(sides) + "|"]
    return lines + [_row([prose(cell) for cell in row]) for row in content["rows"]]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def escape(text: object) -> str:
    """Text as plain Markdown text within a line: no control characters, nothing active, no bare links."""
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def code(text: object) -> str:
    """A name from a log as inline code; a bar would end the cell of a table."""
    flat = one_line(text).replace("`", "'").replace("|", "\u00a6")
    return f"`{flat}`" if flat else ""


def prose(text: str) -> str:
    """Our own words around names: what stands in backticks becomes inline code, the rest is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a stray backtick: nothing in here is a name
        return escape(text)
    return "".join(code(part) if index % 2 else _kept(part) for index, part in enumerate(parts))


def _kept(text: str) -> str:
    """Like `escape`, with the blank at either end."""
    start = " " if text[:1] == " " else ""
    end = " " if text[-1:] == " " and text.strip() else ""
    return start + escape(text) + end
