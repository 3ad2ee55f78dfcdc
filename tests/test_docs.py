"""The documentation says what the code does: generated parts are current, links resolve, commands exist."""

from __future__ import annotations

import doctest
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from foreshock import cli
from foreshock.readers._registry import READERS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "design").rglob("*.md")])
COMMANDS = sorted(cli.COMMANDS)
EXAMPLES = [page for page in PAGES if ">>> " in page.read_text()]


def test_generated_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_in_the_documentation_exist(page: Path) -> None:
    for command in re.findall(r"^\s*(?:\$ )?foreshock ([a-z]+)", page.read_text(), flags=re.M):
        assert command in COMMANDS, f"{page.name} shows `foreshock {command}`"


def test_every_reader_has_a_page_that_the_index_links() -> None:
    index = (ROOT / "docs" / "readers" / "index.md").read_text()
    for reader in READERS:
        assert (ROOT / "docs" / "readers" / f"{reader.NAME}.md").exists(), reader.NAME
        assert f"({reader.NAME}.md)" in index, reader.NAME


def test_every_analysis_method_has_a_page_that_the_readme_or_index_links() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for method in ("noise", "change_points", "phases", "key_points", "changes", "relations", "quality"):
        assert (ROOT / "docs" / "analysis" / f"{method}.md").exists(), method
        assert f"(analysis/{method}.md)" in index, method


def test_every_live_detector_has_a_page_that_the_index_links() -> None:
    folder = ROOT / "docs" / "detect"
    index = (folder / "index.md").read_text()
    modules = {path.stem for path in (ROOT / "src" / "foreshock" / "detect").glob("[a-z]*.py")}
    for module in modules - {"monitor"}:
        assert (folder / f"{module}.md").exists(), module
        assert f"({module}.md)" in index, module


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda p: str(p.relative_to(ROOT)))
def test_examples_print_what_they_say(page: Path) -> None:
    blocks = re.findall(r"^```python\n(>>> .*?)^```", page.read_text(), flags=re.M | re.S)
    assert blocks
    said = io.StringIO()
    for place, block in enumerate(blocks):
        example = doctest.DocTestParser().get_doctest(block, {}, f"{page.name} {place}", str(page), 0)
        doctest.DocTestRunner().run(example, out=said.write)
    assert not said.getvalue(), said.getvalue()
