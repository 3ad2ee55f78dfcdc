"""From the path that a user gave to a plain file on disk: standard input, archives, encodings.

Whatever is unpacked goes to a temporary folder with bounded memory; nothing of it stays behind.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from foreshock.errors import NotARunError, UnreadableError
from foreshock.readers._sniff import HEAD, head_of, looks_like_text

_CHUNK = 1024 * 1024
MAX_UNPACKED = 8 * 1024**3
_STREAMS: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": lambda path: io.BufferedReader(gzip.open(path, "rb")),
    b"BZh": lambda path: io.BufferedReader(bz2.open(path, "rb")),
    b"\xfd7zXZ\0": lambda path: io.BufferedReader(lzma.open(path, "rb")),
}
_FOREIGN = {
    b"7z\xbc\xaf'\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)

Accepts = Callable[[Path, bytes], bool]


@contextmanager
def plain_file(path: str, accepts: Accepts) -> Iterator[Path]:
    """Give a file on disk with the plain content of `path` ("-" = standard input), removed afterwards.

    Args:
        path: what the user gave; a file or "-".
        accepts: whether some reader wants a file with this name and head. What nobody wants is not
            unpacked to the end.

    Raises:
        UnreadableError: an archive with a password, cut, of a foreign kind, or too large.
        NotARunError: an archive in which nothing, or more than one file, looks like a log.
    """
    with tempfile.TemporaryDirectory(prefix="foreshock-") as folder:
        start = Path(path)
        if path == "-":
            start = _store(sys.stdin.buffer, Path(folder, "stdin", "stdin"), accepts, "standard input")
        elif start.is_fifo():
            with start.open("rb") as pipe:
                start = _store(pipe, Path(folder, "pipe", "pipe"), accepts, path)
        yield _plain(start, Path(folder), accepts, shown=path, depth=3)


def _plain(path: Path, folder: Path, accepts: Accepts, shown: str, depth: int) -> Path:
    head = head_of(path, 512)
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            raise UnreadableError(f"{shown} is {kind}; unpack it and give the file inside")
    if depth == 0:
        raise UnreadableError(f"{shown} holds archives within archives; unpack it and give the log inside")
    target = folder / str(depth) / path.resolve().parent.name
    unpacked = None
    try:
        for magic, opener in _STREAMS.items():
            if head.startswith(magic):
                name = path.stem if path.suffix.lower() in (".gz", ".bz2", ".xz") else path.name
                with opener(path) as stream:
                    unpacked = _store(stream, target / _tar_name(path, name), accepts, shown)
        if unpacked is None and head.startswith(b"PK\x03\x04"):
            unpacked = _from_zip(path, target, accepts, shown)
        elif unpacked is None and head[257:262] == b"ustar":
            unpacked = _from_tar(path, target, accepts, shown)
    except _BROKEN as error:
        raise UnreadableError(
            f"{shown} is an archive that was cut or damaged ({error or 'unexpected end'}); copy it again"
        ) from error
    if unpacked is not None:
        return _plain(unpacked, folder, accepts, shown, depth - 1)
    for mark, encoding in _ENCODINGS.items():
        if head.startswith(mark):
            return _recode(path, target / path.name, encoding, shown)
    return path


def _tar_name(path: Path, name: str) -> str:
    return path.stem + ".tar" if path.suffix.lower() == ".tgz" else name


def _store(source: IO[bytes], target: Path, accepts: Accepts, shown: str) -> Path:
    """Write a stream to a file; binary noise is refused before all of it is on the disk."""
    head = source.read(HEAD)
    packed = any(head.startswith(magic) for magic in (*_STREAMS, *_FOREIGN, *_ENCODINGS, b"PK\x03\x04"))
    if not (looks_like_text(head) or packed or head[257:262] == b"ustar" or accepts(Path(target.name), head)):
        raise NotARunError(f"{shown} holds binary data that is no known log; give the log itself")
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        written = out.write(head)
        while chunk := source.read(_CHUNK):
            written += out.write(chunk)
            if written > MAX_UNPACKED:
                raise UnreadableError(f"{shown} holds more than {MAX_UNPACKED >> 30} GiB; give a part of it")
    return target


def _recode(path: Path, target: Path, encoding: str, shown: str) -> Path:
    """To UTF-8 without a mark; PowerShell redirects consoles as UTF-16."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target == path:
        target = target.with_name(f"{path.name}.utf8")
    with path.open(encoding=encoding, errors="replace", newline="") as source, target.open("wb") as out:
        try:
            while text := source.read(_CHUNK):
                out.write(text.encode("utf-8", errors="replace"))
        except UnicodeError as error:
            raise UnreadableError(f"{shown} is marked as {encoding} text but is none ({error})") from error
    return target


def _from_zip(path: Path, target: Path, accepts: Accepts, shown: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if any(info.flag_bits & 1 for info in members):
            raise UnreadableError(f"{shown} is protected by a password; unpack it and give the file inside")

        def opened(name: str) -> IO[bytes]:
            return archive.open(name)

        try:
            name = _only_log([info.filename for info in members], opened, accepts, shown)
            with archive.open(name) as stream:
                return _store(stream, target / PurePosixPath(name).name, accepts, shown)
        except NotImplementedError as error:
            raise UnreadableError(f"{shown} uses a compression that is not supported; unpack it") from error


def _from_tar(path: Path, target: Path, accepts: Accepts, shown: str) -> Path:
    with tarfile.open(path, "r:") as archive:
        members = {member.name: member for member in archive if member.isfile()}

        def opened(name: str) -> IO[bytes]:
            return archive.extractfile(members[name]) or io.BytesIO()

        name = _only_log(list(members), opened, accepts, shown)
        return _store(opened(name), target / PurePosixPath(name).name, accepts, shown)


def _only_log(names: list[str], opened: Callable[[str], IO[bytes]], accepts: Accepts, shown: str) -> str:
    """The one member that some reader wants; members are never written outside the temporary folder."""
    if len(names) == 1:
        return names[0]
    wanted = []
    for name in names[:1000]:
        with opened(name) as stream:
            if accepts(Path(PurePosixPath(name).name), stream.read(HEAD)):
                wanted.append(name)
    if len(wanted) == 1:
        return wanted[0]
    what = f"{len(wanted)} files that could be the log: {', '.join(wanted[:5])}" if wanted else "no known log"
    raise NotARunError(f"{shown} is an archive with {what}; unpack it and give one file or the folder")
