"""The document as Markdown: for pull requests, chats and agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from foreshock.report._numbers import show_p, show_percent, show_value
from foreshock.report._phrases import decimals

_SPECIAL = re.compile(r"([\\*_{}\[\]<>#|~$!&])")


def render(document: Mapping[str, Any], *, charts: str | None = "charts.png") -> str:
    """The report as Markdown; `charts` is the image it shows, None for none.

    Everything that comes from the log is escaped: it can neither format nor inject.
    """
    run = document["run"]
    lines = [f"# {escape(run['id'])}", ""]
    lines += [f"**Verdict: {document['verdict']}.** {prose(document['summary'])}", ""]
    if charts:
        lines += [f"![Response length and train reward by step]({charts})", ""]
    for section in document["narrative"]:
        lines += [f"## {escape(section['title'])}", ""]
        lines += [f"- {prose(sentence['text'])}" for sentence in section["text"]]
        if section["text"]:
            lines.append("")
        if section["table"]:
            lines += [*table(section["table"]["columns"], section["table"]["rows"]), ""]
        if section["id"] == "anomalies" and document["changes"]:
            lines += [*changes_table(document), ""]
    if run["unrecognised"]:
        names = ", ".join(code(key) for key in run["unrecognised"])
        lines += ["## Keys that the dictionary does not know", "", names, ""]
    lines.append(
        f"<sub>{document['schema']}, foreshock {document['version']}, source {code(run['source'])}</sub>"
    )
    return "\n".join(lines) + "\n"


def changes_table(document: Mapping[str, Any]) -> list[str]:
    """The significant changes, a row each."""
    rows = []
    for change in document["changes"]:
        if not change["significant"]:
            continue
        places = decimals(document, change["signal"])
        low, high = change["step_interval"]
        rows.append(
            [
                document["signals"][change["signal"]]["title"],
                change["kind"].replace("_", " "),
                f"{change['step']} ({low} to {high})",
                show_value(change["from"], places),
                show_value(change["to"], places),
                "" if change["percent_of_peak"] is None else show_percent(change["percent_of_peak"]),
                "" if change["percent_of_gain"] is None else show_percent(change["percent_of_gain"]),
                show_value(change["sigma"], 1) if change["sigma"] is not None else "",
                ""
                if change["p_value"] is None
                else ("< 0.001" if change["p_value"] < 0.001 else show_p(change["p_value"])),
                "" if change["recovered"] is None else show_percent(100 * change["recovered"]),
            ]
        )
    columns = [
        "signal",
        "change",
        "onset (interval)",
        "from",
        "to",
        "% of peak",
        "% of gain",
        "x noise",
        "p",
        "% recovered",
    ]
    return table(columns, rows) if rows else []


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A pipe table, cells escaped."""
    lines = ["| " + " | ".join(escape(column) for column in columns) + " |"]
    lines.append("|" + "---|" * len(columns))
    lines += ["| " + " | ".join(escape(cell) for cell in row) + " |" for row in rows]
    return lines


def escape(text: object) -> str:
    """Text from a log as plain Markdown text: one line, no control characters, nothing active."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    flat = _SPECIAL.sub(r"\\\1", flat).replace("`", "'")
    return re.sub(r"(https?|ftp|mailto):", r"\1&#58;", flat)


def code(text: object) -> str:
    """A name from a log as inline code."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return "`" + flat.replace("`", "'") + "`"


def prose(text: str) -> str:
    """One of our sentences: names in backticks stay code, the rest is escaped."""
    parts = text.split("`")
    return "".join(code(part) if index % 2 else escape_inner(part) for index, part in enumerate(parts))


def escape_inner(text: str) -> str:
    """Like `escape`, keeping the blanks at both ends."""
    left = " " if text[:1] == " " else ""
    right = " " if text[-1:] == " " and len(text) > 1 else ""
    return left + escape(text) + right if text.strip() else text
