"""Bring the generated parts of the documentation up to date with the code.

    python scripts/docs.py            # rewrite them
    python scripts/docs.py --check    # exit 1 and name the files that are out of date

Generated: the help text of each command (between `<!-- help: NAME -->` and `<!-- end help -->` in
docs/commands/NAME.md), docs/signals.md from the metric dictionary, docs/causes.md from the catalogue, the
table of watched signals in docs/detect/index.md.
Renewed but not checked, because the last digits may differ between machines: what the README shows of
`foreshock demo` and `foreshock watch`, and its picture docs/img/demo.png.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from foreshock import cli, diagnosis, signals
from foreshock.cli import command_line
from foreshock.detect._watched import WATCHED, Watched

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = sorted(cli.COMMANDS)


def command_help(name: str) -> str:
    """The help text of one command, 88 columns wide, as a fenced block."""
    result = CliRunner().invoke(
        command_line(name),
        [name, "--help"],
        prog_name="foreshock",
        env={"COLUMNS": "88", "TERMINAL_WIDTH": "88"},
    )
    return f"```text\n{result.output.strip()}\n```"


def command_page(name: str) -> str:
    """The page of a command with its help block renewed."""
    path = ROOT / "docs" / "commands" / f"{name}.md"
    block = f"<!-- help: {name} -->\n{command_help(name)}\n<!-- end help -->"
    if not path.exists():
        return f"# foreshock {name}\n\n{block}\n"
    pattern = rf"<!-- help: {name} -->.*?<!-- end help -->"
    text = path.read_text()
    if not re.search(pattern, text, flags=re.S):
        raise SystemExit(f"{path} has no '<!-- help: {name} -->' block")
    return re.sub(pattern, lambda _: block, text, flags=re.S)


def watched_page() -> str:
    """The page of live detection with its table of signals renewed."""
    rows = [_watched_row(name, how) for name, how in WATCHED.items()]
    head = "| signal | goes wrong | told besides | scale | share |\n|---|---|---|---|---|\n"
    block = f"<!-- watched -->\n{head}{''.join(rows)}<!-- end watched -->"
    text = (ROOT / "docs" / "detect" / "index.md").read_text()
    return re.sub(r"<!-- watched -->.*?<!-- end watched -->", lambda _: block, text, flags=re.S)


def _watched_row(name: str, how: Watched) -> str:
    way = {"down": "falls", "up": "rises", "both": "falls or rises"}[how.bad]
    told = [
        text
        for text, told in (
            ("single values", how.spikes),
            ("standing still", how.still),
            (f"at {how.full:g}" if how.full else "", how.full),
            ("not single values", how.patient),
        )
        if told
    ]
    beyond = ", beyond its drift" if how.drifts else ""
    scale = f"{how.unit:g}" if how.unit else ""
    return f"| `{name}` | {way}{beyond} | {', '.join(told)} | {scale} | {how.share:g} |\n"


def pages() -> dict[str, Callable[[], str]]:
    """Every generated file, relative to the repository, and what makes it."""
    made: dict[str, Callable[[], str]] = {
        "docs/signals.md": signals.markdown,
        "docs/causes.md": diagnosis.markdown,
        "docs/detect/index.md": watched_page,
    }
    for name in COMMANDS:
        made[f"docs/commands/{name}.md"] = lambda name=name: command_page(name)  # type: ignore[misc]
    return made


def renew_demo() -> None:
    """Run the demo for the README: its words (the charts in braille left out) and its picture."""
    with tempfile.TemporaryDirectory() as folder:
        done = CliRunner().invoke(command_line(), ["demo", "--out", folder], env={"COLUMNS": "100"})
        if done.exit_code:
            raise SystemExit(f"the demo failed: {done.output}")
        (ROOT / "docs" / "img").mkdir(exist_ok=True)
        shutil.copy(Path(folder) / "charts.png", ROOT / "docs" / "img" / "demo.png")
    words = done.output.split("\n\n", 2)[2].split("\nWritten to")[0].rstrip()
    block = f"<!-- demo -->\n```text\n{words}\n```\n<!-- end demo -->"
    readme = ROOT / "README.md"
    readme.write_text(
        re.sub(r"<!-- demo -->.*?<!-- end demo -->", lambda _: block, readme.read_text(), flags=re.S)
    )


def renew_watch() -> None:
    """Replay the demo's run for the README."""
    readme = ROOT / "README.md"
    begin = "<!-- watch -->\n```text\n$ "
    text = readme.read_text()
    command = text.split(begin)[1].split("\n")[0]
    done = CliRunner().invoke(command_line(), [str(part) for part in command.split()[1:]])
    if done.exit_code:
        raise SystemExit(f"{command} failed: {done.output}")
    block = f"{begin}{command}\n{done.stdout.rstrip()}\n```\n<!-- end watch -->"
    readme.write_text(re.sub(r"<!-- watch -->.*?<!-- end watch -->", lambda _: block, text, flags=re.S))


def outdated() -> list[str]:
    """Generated files that differ from what the code says."""
    stale = []
    for name, make in pages().items():
        path = ROOT / name
        if not path.exists() or path.read_text() != make():
            stale.append(name)
    return stale


def main() -> None:
    """Rewrite, or only check."""
    stale = outdated()
    if "--check" in sys.argv[1:]:
        if stale:
            raise SystemExit("out of date, run `make docs`: " + ", ".join(stale))
        return
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(pages()[name]())
        print(f"rewrote {name}")
    renew_demo()
    renew_watch()


if __name__ == "__main__":
    main()
