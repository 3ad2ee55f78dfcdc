"""What the code base promises about itself: its surface, its weight, its size, its dependencies."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import foreshock

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "foreshock"
MODULES = sorted(SOURCE.rglob("*.py"))
CORE = {
    "numpy",
    "matplotlib",
    "rich",
    "typer",
    "jinja2",
    "markupsafe",
    "orjson",
}  # markupsafe is a part of jinja2
EXTRAS = {"apprise", "pyarrow"}  # imported inside functions only
# Frameworks that an integration plugs into, or whose objects it is given: it imports only its own.
FRAMEWORKS = {
    "_hf_recording": {"torch", "transformers"},
    "model": {"torch"},
    "trl": {"transformers", "trl"},
    "lightning": {"lightning", "lightning_utilities", "pytorch_lightning"},
}


def _imports(path: Path) -> tuple[set[str], set[str]]:
    """Top-level packages that a module imports: (on import, lazily)."""
    tree = ast.parse(path.read_text())
    eager: set[str] = set()
    lazy: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        (eager if node in tree.body else lazy).update(name.split(".")[0] for name in names)
    return eager, lazy


def test_every_public_name_is_exported_and_sorted() -> None:
    assert foreshock.__all__ == sorted(foreshock.__all__)
    for name in foreshock.__all__:
        assert getattr(foreshock, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        foreshock.nonsense  # noqa: B018


def test_import_foreshock_loads_nothing_heavy() -> None:
    code = "import sys, foreshock; print(' '.join(sorted(m.split('.')[0] for m in sys.modules)))"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not loaded & (CORE | EXTRAS)


def test_the_json_path_loads_no_drawing_library(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom foreshock.demo import RUNS\nfrom foreshock.cli import main\n"
        "try:\n    main(['report', str(RUNS[0].path), '--json'])\n"
        "except SystemExit as e:\n    assert not e.code, e.code\n"
        "bad = {'matplotlib', 'jinja2', 'pyarrow'} & set(sys.modules)\nassert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_modules_stay_short_and_import_only_what_is_declared(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500
    eager, lazy = _imports(path)
    allowed = set(sys.stdlib_module_names) | {"foreshock"} | CORE
    if path.parent.name in ("integrations", "record"):
        allowed |= FRAMEWORKS.get(path.stem, set())
    assert eager <= allowed
    assert lazy <= allowed | EXTRAS


def test_what_stands_on_the_left_of_the_pipe_knows_nothing_on_its_right() -> None:
    order = [
        "signals",
        "readers",
        "analysis",
        "detect",
        "record",
        "integrations",
        "diagnosis",
        "report",
        "watch",
        "cli",
    ]
    for position, package in enumerate(order):
        for path in (SOURCE / package).rglob("*.py"):
            for line in path.read_text().splitlines():
                for right in order[position + 1 :]:
                    assert f"foreshock.{right}" not in line.partition("#")[0] or not line.lstrip().startswith(
                        ("from ", "import ")
                    ), f"{path.relative_to(SOURCE)} imports foreshock.{right}"


def test_every_module_can_be_imported_on_its_own() -> None:
    for path in MODULES:
        if path.name != "__main__.py":
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def test_the_wheel_runs_the_demo_from_another_folder(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import foreshock; print(foreshock.__file__, flush=True)\n"
        "from foreshock.cli import main; main(['demo', '--out', 'out'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    for name in ("report.html", "report.md", "report.json", "charts.png", "charts.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
