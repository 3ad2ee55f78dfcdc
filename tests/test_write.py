"""Writing a report: the files, each whole or not at all, and errors that a person can act on."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

import foreshock
from _builders import figure_analysis, figure_run
from foreshock.errors import MetricError, UsageError
from foreshock.report import _write as module
from foreshock.report import write


def test_all_files_are_written_into_a_folder_that_is_created(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    files = foreshock.write(figure_run(), folder)
    assert [path.name for path in files] == [
        "report.html",
        "report.md",
        "report.json",
        "charts.png",
        "charts.svg",
    ]
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in files)
    assert all(path.stat().st_size > 1000 for path in files)


def test_a_pdf_is_written_where_asked_for(tmp_path: Path) -> None:
    (path,) = write(figure_run(), tmp_path, formats=("pdf",))
    assert path.name == "charts.pdf"
    assert path.read_bytes().startswith(b"%PDF")


def test_a_finished_analysis_is_used_and_not_made_again(tmp_path: Path) -> None:
    write(figure_run(), str(tmp_path), analysis=figure_analysis(), causes=(), formats=("json",))
    document = json.loads((tmp_path / "report.json").read_bytes())
    assert document["changes"][0]["from"] == 1.88
    assert document["causes"] == []


def test_markdown_shows_the_charts_only_where_they_are_written(tmp_path: Path) -> None:
    write(figure_run(), tmp_path / "a", formats=("md",))
    write(figure_run(), tmp_path / "b", formats=("md", "png"))
    assert "charts.png" not in (tmp_path / "a" / "report.md").read_text()
    assert "(charts.png)" in (tmp_path / "b" / "report.md").read_text()


def test_a_report_that_fails_leaves_the_old_one_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(figure_run(), tmp_path, formats=("json",))
    before = (tmp_path / "report.json").read_bytes()

    def half(document: object, path: Path) -> None:
        path.write_bytes(b"{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_json", half)
    with pytest.raises(UsageError, match=r"cannot write into .*: No space left on device; choose another"):
        write(figure_run(1), tmp_path, formats=("json",))
    assert (tmp_path / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_files_get_the_usual_permissions_and_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    (path,) = write(figure_run(), tmp_path, formats=("json",))
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert json.loads(path.read_bytes())["schema"] == "foreshock.report/1"


def test_a_file_in_the_place_of_the_folder_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x")
    for folder in (taken, taken / "below"):
        with pytest.raises(UsageError, match="choose another folder"):
            write(figure_run(), folder)


def test_a_folder_in_the_place_of_a_file_is_an_error_too(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(UsageError, match="cannot write into"):
        write(figure_run(), tmp_path, formats=("json",))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot write into"):
        write(figure_run(), tmp_path, formats=("json",))


def test_an_unknown_format_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'docx'; there are: html, md, json, png, svg, pdf"):
        write(figure_run(), tmp_path, formats=("docx",))
    assert not list(tmp_path.iterdir())


def test_an_unknown_signal_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="no signal 'nope'"):
        write(figure_run(), tmp_path, signals=["nope"])
