"""Recordings of NTU RGB+D in the zips that people download, or in folders: an index of them, and a reader of some.

Nothing is unpacked. The list of a zip's files is read once. A reading process then seeks a file in the zip directly, because reading the
list of 57,000 files again in every process would take longer than reading some hundred files.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from poseglot.data.manifest import clip_or_issue
from poseglot.data.quality.issues import ClipError, ClipIssue
from poseglot.data.readers.ntu import SUFFIX, parse_clip
from poseglot.data.readers.ntu.names import fields_of, known_incomplete
from poseglot.errors import FileError
from poseglot.skeletons.clip import Clip

# No recording is nearly as large. A file that claims to be may have been made to fill the memory.
MAX_SIZE = 16 * 2**20
# The end of a file's local header in a zip: the lengths of its name and of an extra field, which come before the content.
_LOCAL_HEADER = struct.Struct("<26xHH")
_ENCRYPTED = -1
INCOMPLETE, OTHER_CLASSES = "known to be incomplete", "of other classes"


@dataclass(frozen=True, order=True)
class Member:
    """A file to read.

    Attributes:
        name: Of the recording.
        source: The zip, or the file itself.
        inner: Its path in the zip; empty if it lies in a folder.
        size: Of the text, in bytes.
        offset: Where it begins in the zip.
        packed: How many bytes it takes in the zip.
        method: How it is compressed in the zip.
        mark: Its CRC-32 in the zip; in a folder the time of its last change.
    """

    name: str
    source: str
    inner: str
    size: int
    offset: int = 0
    packed: int = 0
    method: int = 0
    mark: int = 0

    @property
    def origin(self) -> str:
        return f"{self.source}:{self.inner}" if self.inner else self.source


@dataclass(frozen=True, eq=False)
class Index:
    """The recordings that were found.

    Attributes:
        members: To be read, ordered by name.
        skipped: Reason -> names of recordings that are left out on purpose.
        issues: Of zips and names.
        fingerprint: Of all files, wherever they lie; another fingerprint means other files.
    """

    members: tuple[Member, ...]
    skipped: dict[str, list[str]] = field(default_factory=dict)
    issues: tuple[ClipIssue, ...] = ()
    fingerprint: str = ""


def index_sources(sources: Sequence[Path], *, classes: int) -> Index:
    """List every recording of the first `classes` actions in zips and folders, without those known to be incomplete.

    Of a recording that is there several times, the first source's is taken.

    Raises:
        FileError: A source does not exist, or nothing is left.
    """
    issues: list[ClipIssue] = []
    found: list[tuple[Member, tuple[str, int, int]]] = []
    # A source given twice counts once.
    for source in {source.resolve(): source for source in reversed(sources)}.values():
        if not source.exists():
            raise FileError(
                f"{source} does not exist; --source takes the zips of NTU RGB+D's skeletons, or folders with {SUFFIX} files."
            )
        try:
            listed = sorted(_files(source))
        # zipfile raises RuntimeError (of which NotImplementedError is one) for forms that it does not know.
        except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
            message = f"{source} is not a whole zip file ({error}); fetch it again."
            issues.append(ClipIssue(source.name, str(source), "unreadable", message))
            continue
        except OSError as error:
            issues.append(
                ClipIssue(source.name, str(source), "unreadable", f"could not read {source}: {error.strerror or error}.")
            )
            continue
        if not listed:
            issues.append(ClipIssue(source.name, str(source), "empty", f"{source} holds no {SUFFIX} file."))
        # The place of a source is not part of the fingerprint, so that a set may be moved.
        marks = [(member.inner or os.path.relpath(member.source, source), member.size, member.mark) for member in listed]
        found = [*zip(listed, marks, strict=True), *found]
    found.sort(key=lambda pair: pair[0].name)
    fingerprint = hashlib.sha256(repr([mark for _, mark in found]).encode()).hexdigest()
    members, skipped, name_issues = _sift([member for member, _ in found], classes)
    issues += name_issues
    if not members:
        details = "".join(f"\n  {issue.message}" for issue in issues[:5])
        left_out = "".join(f"\n  {len(names):,} {why}" for why, names in skipped.items())
        raise FileError(f"there is no recording of {classes} classes in {', '.join(map(str, sources))}.{details}{left_out}")
    return Index(tuple(members), skipped, tuple(issues), fingerprint)


def _sift(found: Iterable[Member], classes: int) -> tuple[list[Member], dict[str, list[str]], list[ClipIssue]]:
    incomplete = known_incomplete()
    members: list[Member] = []
    skipped: dict[str, list[str]] = {}
    issues = []
    before = None
    for member in found:
        fields = fields_of(member.name)
        if not fields:
            message = f"{member.origin} is not named like a recording (S001C001P001R001A001{SUFFIX})."
            issues.append(ClipIssue(member.name, member.origin, "malformed", message))
        elif before is not None and before.name == member.name:
            # Recordings that are left out may be there several times.
            if members and members[-1] is before:
                message = f"{member.origin} is there twice; {before.origin} is taken."
                issues.append(ClipIssue(member.name, member.origin, "duplicate", message))
            continue
        elif member.name in incomplete:
            skipped.setdefault(INCOMPLETE, []).append(member.name)
        elif fields["label"] >= classes:
            skipped.setdefault(OTHER_CLASSES, []).append(member.name)
        else:
            members.append(member)
        before = member
    return members, skipped, issues


def _files(source: Path) -> Iterator[Member]:
    """Yield every file of a zip or a folder that ends as recordings do; or the file itself."""
    if source.is_dir() or source.suffix == SUFFIX:
        for path in source.rglob(f"*{SUFFIX}") if source.is_dir() else [source]:
            if not path.name.startswith("._"):  # macOS leaves these beside files
                # A dead link is listed, too, and becomes an issue when it is read.
                status = path.stat() if path.exists() else path.lstat()
                yield Member(path.stem, str(path), "", status.st_size, mark=status.st_mtime_ns)
        return
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            inner = PurePosixPath(entry.filename)
            if inner.suffix == SUFFIX and not inner.name.startswith("._"):
                method = _ENCRYPTED if entry.flag_bits & 1 else entry.compress_type
                place = (entry.file_size, entry.header_offset, entry.compress_size, method, entry.CRC)
                yield Member(inner.stem, str(source), entry.filename, *place)


def read_members(members: Sequence[Member]) -> list[Clip | ClipIssue]:
    """Read and preprocess these recordings; each becomes a clip or an issue."""
    return [clip_or_issue(partial(_clip, member), name=member.name, origin=member.origin) for member in members]


def _clip(member: Member) -> Clip:
    try:
        return parse_clip(_content(member), name=member.name, origin=member.origin)
    except OSError as error:
        raise ClipError("unreadable", f"{member.origin} could not be read ({error}); fetch it again.") from error


def _content(member: Member) -> bytes:
    if member.size > MAX_SIZE:
        raise ClipError("unreadable", f"{member.origin} has {member.size:,} bytes, more than any recording has.")
    if not member.inner:
        return Path(member.source).read_bytes()
    if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        how = "is encrypted" if member.method == _ENCRYPTED else f"is packed by method {member.method}"
        raise ClipError("unreadable", f"{member.origin} {how}, which cannot be read; pack it anew, or give its folder.")
    if max(member.packed, member.offset) > Path(member.source).stat().st_size:
        raise ClipError("unreadable", f"{member.origin} is not where the zip's index says; fetch it again.")
    with open(member.source, "rb") as file:
        file.seek(member.offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise ClipError("unreadable", f"{member.origin} is not where the zip's index says; fetch it again.")
        file.seek(sum(_LOCAL_HEADER.unpack(header)), 1)
        content = file.read(member.packed)
    library = _zlib()
    try:
        if member.method == zipfile.ZIP_DEFLATED:
            content = library.decompressobj(-zlib.MAX_WBITS).decompress(content, member.size + 1)
    except library.error as error:
        raise ClipError("unreadable", f"{member.origin} is damaged ({error}); fetch it again.") from error
    if len(content) != member.size or library.crc32(content) != member.mark:
        raise ClipError("unreadable", f"{member.origin} is damaged (its checksum differs); fetch it again.")
    return bytes(content)


@functools.cache
def _zlib() -> Any:
    """Return Python's zlib, or ISA-L's (the extra `fast`), which takes half the time."""
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib
