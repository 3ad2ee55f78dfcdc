"""The report: one JSON document, and everything that is made from it."""

from __future__ import annotations

from foreshock.report._write import make_folder, write, write_all
from foreshock.report.document import SCHEMA, build

__all__ = ["SCHEMA", "build", "make_folder", "write", "write_all"]
