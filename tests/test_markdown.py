"""Markdown: complete, valid, and nothing from a log can format, link or inject."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from _builders import figure_analysis, figure_run
from _documents import document_of, figure_document, full_document
from foreshock.report.markdown import code, escape, prose, render
from foreshock.run import Column, Note

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![pixel](http://evil.example/p.png)",
    "`code` and ``more`` and `open",
    "a | b | c",
    "**bold** _em_ ~~gone~~",
    "line\nbreak\n# heading\n- item",
    "</td></tr><h1>x</h1>",
    "&lt;b&gt; &#60;i&#62;",
    "http://evil.example and www.evil.example and <http://evil.example>",
    "\x1b[31mred\x1b[0m\x07\x00",
    "[ref]: http://evil.example",
    "\\",
    "$x^2$",
]


def tokens(text: str) -> Iterator[Token]:
    """Every token of the rendered text, nested ones too."""
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or ()


def plain(text: str) -> str:
    """What a reader of the rendered text sees."""
    return "".join(token.content for token in tokens(text) if token.type in ("text", "code_inline"))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(name: str) -> None:
    columns = {"reward_mean": Column(name), "response_length_mean": Column("length")}
    run = figure_run(
        id=name,
        source=name,
        columns=columns,
        framework=name,
        notes=(Note("torn-line", name),),
        unrecognised={name: [0.0] * 71},
    )
    text = render(document_of(run, figure_analysis()))
    found = list(tokens(text))
    kinds = {token.type for token in found}
    assert not kinds & {
        "html_block",
        "html_inline",
        "link_open",
        "em_open",
        "s_open",
        "fence",
    }
    assert sum(token.type == "strong_open" for token in found) == 1  # the verdict
    assert [token.attrs["src"] for token in found if token.type == "image"] == ["charts.png"]
    assert [token.content for token in found if token.type == "text" and token.content.startswith("Verdict")]
    assert sum(token.tag == "h1" and token.nesting == 1 for token in found) == 1
    assert "\x1b" not in text
    assert "\x00" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_escaped_text_reads_as_it_was_logged(name: str) -> None:
    seen = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    assert plain("x " + escape(name)) == f"x {seen}"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_cannot_add_a_cell_to_a_table(name: str) -> None:
    head = "| a | b |\n|---|---|\n"
    for cell in (escape(name), code(name), prose(name), prose(f"the key `{name}` is odd")):
        found = list(tokens(head + f"| {cell} | last |\n"))
        assert sum(token.type == "td_open" for token in found) == 2
        assert [token.content for token in found if token.type == "text"][-1] == "last"


def test_every_section_sentence_and_row_of_the_document_is_there() -> None:
    document = full_document()
    text = render(document)
    position = -1
    for section in document["narrative"]:
        assert text.index(f"## {section['title']}") > position
        position = text.index(f"## {section['title']}")
    seen = plain(text)
    for section in document["narrative"]:
        for sentence in section["text"]:
            assert sentence["text"].replace("`", "") in seen
        for row in section["table"]["rows"] if section["table"] else ():
            for cell in row:
                assert cell.replace("`", "") in seen


def test_tables_are_rectangular_and_numbers_stand_to_the_right() -> None:
    lines = render(figure_document()).splitlines()
    (head,) = (i for i, line in enumerate(lines) if line.startswith("| signal | unit |"))
    assert lines[head + 1] == "|---|---|---|---:|---:|---:|---:|"
    assert lines[head + 2] == "| Train Reward | reward units | `reward` | 71 | 1.49 | 1.90 | 0.012 |"


def test_addresses_in_a_log_do_not_become_links_where_bare_ones_do() -> None:
    text = escape("see http://evil.example or www.evil.example")
    assert "http://" not in text
    assert "www." not in text


def test_without_charts_there_is_no_image() -> None:
    assert not [token for token in tokens(render(figure_document(), charts=None)) if token.type == "image"]


def test_the_verdict_stands_at_the_top() -> None:
    assert render(figure_document()).splitlines()[:3] == ["# figure", "", "**Verdict: trouble.**"]
