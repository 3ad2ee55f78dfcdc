"""Read somebody's SQLite database without touching it, also while a trainer writes to it.

Nothing is ever created beside the database. SQLite itself would: a reader of a database in
write-ahead mode makes a `-shm` file, and one left by a killed writer must be repaired before reading.
Such databases are copied, with their journal, to a temporary folder and opened there.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from foreshock.errors import UnreadableError
from foreshock.readers._folders import reading

MAGIC = b"SQLite format 3\x00"
_JOURNALS = ("-wal", "-journal")
_ENDINGS = (".db", ".sqlite", ".sqlite3")


@contextmanager
def opened(path: Path, check: bool = True) -> Iterator[sqlite3.Connection]:
    """A read-only connection whose content has passed SQLite's structure check (unless told not to).

    It cannot see a changed bit inside a value: SQLite keeps no checksums.

    Raises:
        UnreadableError: it is truncated, damaged, locked or in the middle of a change.
    """
    try:
        with reading(path), tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
            with closing(_connect(path, Path(folder))) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                connection.execute("PRAGMA trusted_schema = OFF")
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone() if check else ("ok",)
                if verdict != ("ok",):
                    raise UnreadableError(_damaged(path, str(verdict[0] if verdict else "no answer")))
                yield connection
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, OverflowError) as error:
        # UnicodeError: SQLite quotes the damaged text in its message.
        raise UnreadableError(_damaged(path, str(error))) from error


def _damaged(path: Path, reason: str) -> str:
    reason = " ".join(reason.split())[:200]
    return (
        f"{path}: this SQLite database cannot be read ({reason}). "
        f"Copy it again from its machine, or repair it with: sqlite3 {path.name} .recover"
    )


def _connect(path: Path, folder: Path) -> sqlite3.Connection:
    with path.open("rb") as file:
        header = file.read(20)
    if any(_size(path, journal) for journal in _JOURNALS):
        return sqlite3.connect(_copy(path, folder))
    # `immutable` keeps SQLite from making a -shm file; without write-ahead, locks are honoured instead.
    options = "mode=ro&immutable=1" if header[18:20] == b"\x02\x02" else "mode=ro"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{options}", uri=True, timeout=5)


def _copy(path: Path, folder: Path) -> Path:
    """The database and its journals in `folder`, copied while none of them changed."""
    target = folder / "database"
    for _ in range(5):
        before = _state(path)
        shutil.copyfile(path, target)
        for journal in _JOURNALS:
            copy = Path(f"{target}{journal}")
            copy.unlink(missing_ok=True)
            if _size(path, journal):
                shutil.copyfile(f"{path}{journal}", copy)
        if _state(path) == before:
            return target
    raise UnreadableError(
        f"{path}: it changes faster than it can be copied. Try again when less is being logged."
    )


def _state(path: Path) -> tuple[object, ...]:
    """What must not change during a copy. A write-ahead file may grow: half a commit is ignored."""
    found: list[object] = []
    for name in (path, Path(f"{path}-journal")):
        try:
            status = name.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except FileNotFoundError:
            found.append(None)
    try:
        with Path(f"{path}-wal").open("rb") as file:
            found.append(file.read(32))  # its header holds a salt that changes when it starts again
    except FileNotFoundError:
        found.append(None)
    return tuple(found)


def _size(path: Path, ending: str) -> int:
    try:
        return Path(f"{path}{ending}").stat().st_size
    except FileNotFoundError:
        return 0


def tables_of(connection: sqlite3.Connection, path: Path, needed: dict[str, set[str]]) -> dict[str, set[str]]:
    """Column names of each table.

    Raises:
        UnreadableError: one that is needed is missing, as in an emptied file.
    """
    found = _columns(connection)
    for table, names in needed.items():
        if not names <= found.get(table, set()):
            raise UnreadableError(_damaged(path, f"its table {table} is missing or not as expected"))
    return found


def _columns(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Column names of each table; views are left out, because they can hold any program."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    return {
        name: {row[1] for row in connection.execute("SELECT * FROM pragma_table_info(?)", (name,))}
        for (name,) in names
    }


def holds(path: Path, head: bytes, needed: dict[str, set[str]]) -> bool:
    """Whether it is a SQLite database with these tables and columns.

    For one that cannot be opened, its first bytes decide, so that the reader that knows the format
    can say what is wrong with it.
    """
    if not head.startswith(MAGIC):
        return False
    try:
        with opened(path, check=False) as connection:
            found = _columns(connection)
            return all(names <= found.get(table, set()) for table, names in needed.items())
    except UnreadableError:
        return all(name.encode() in head for names in needed.values() for name in names)


def databases(folder: Path) -> list[Path]:
    """The SQLite files directly in a folder, by name."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix in _ENDINGS and path.is_file():
            with path.open("rb") as file:
                if file.read(len(MAGIC)) == MAGIC:
                    found.append(path)
    return found
