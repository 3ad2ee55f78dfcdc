"""The document as JSON text."""

from __future__ import annotations

from typing import Any

import orjson


def dumps(document: Any) -> bytes:
    """UTF-8 JSON, indented by two, with a final newline; strict: no bare NaN or Infinity."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
