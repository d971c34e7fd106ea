"""Take FFmpeg out of an installed OpenCV: without_video.py /opt/hemaloop/lib/python3.11/site-packages

A device reads pictures and V4L2 cameras, which OpenCV does by itself; FFmpeg, with the OpenSSL that it brings, is a
sixth of an install. OpenCV's library is linked to it, so the links are taken out of that file: the names of FFmpeg's
libraries, the versions wanted of them, and the need for their symbols. What nothing links to any more is deleted, and
a .pth file tells OpenCV not to try FFmpeg: a video file, but AVI of MJPEG, cannot be opened then. Installing again
brings it all back.

Source of the formats: System V ABI, gABI 4.2 chapter 5; LSB core, symbol versioning.
"""

import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FFMPEG = ("libavcodec", "libavformat", "libavutil", "libswscale", "libswresample")
LIBRARIES = "opencv_python_headless.libs"
TELLING = "import os; os.environ.setdefault('OPENCV_VIDEOIO_PRIORITY_FFMPEG', '0')\n"

PT_LOAD, PT_DYNAMIC, SHT_DYNSYM = 1, 2, 11
DT_NULL, DT_NEEDED, DT_STRTAB = 0, 1, 5
DT_VERSYM, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFF0, 0x6FFFFFFE, 0x6FFFFFFF
WEAK, ANY_VERSION = 2, 1


class NoLibraryError(Exception):
    """This is no 64-bit little-endian ELF library with a dynamic section."""


@dataclass(frozen=True)
class Wanted:
    """A library of which versions of symbols are wanted."""

    place: int  # of its entry in the file
    library: str
    indices: frozenset[int]  # of its versions, in the table of symbols' versions


class Library:
    """An ELF file's dynamic section, to be changed in memory."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise NoLibraryError
        self.data = bytearray(data)
        start, size, number = (*self._read("<Q", 32), *self._read("<HH", 54))
        self._segments = [self._read("<IIQQQQ", start + size * each) for each in range(number)]
        found = [segment[2] for segment in self._segments if segment[0] == PT_DYNAMIC]
        if not found:
            raise NoLibraryError
        self._dynamic = found[0]
        self._strings = self._offset(self._tag(DT_STRTAB))

    def needed(self) -> list[str]:
        return [self._string(value) for tag, value in self._entries() if tag == DT_NEEDED]

    def forget(self, libraries: set[str]) -> None:
        """Let nothing of these be needed."""
        gone = [wanted for wanted in self._versions() if wanted.library in libraries]
        self._loosen({index for wanted in gone for index in wanted.indices})
        kept = [wanted.place for wanted in self._versions() if wanted.library not in libraries]
        for place, following in zip(kept, [*kept[1:], None], strict=True):
            self._write("<I", place + 12, 0 if following is None else following - place)
        entries = [(tag, value) for tag, value in self._entries() if not self._names(tag, value, libraries)]
        moved = {DT_VERNEED: self._address(kept[0]), DT_VERNEEDNUM: len(kept)} if kept else {}
        entries = [(tag, moved.get(tag, value)) for tag, value in entries]
        for place, (tag, value) in enumerate([*entries, *[(DT_NULL, 0)] * (len(list(self._entries())) - len(entries))]):
            self._write("<QQ", self._dynamic + 16 * place, tag, value)

    def _loosen(self, versions: set[int]) -> None:
        """Symbols of these versions may be missing; a weak one that nobody defines is no error."""
        table = self._offset(self._tag(DT_VERSYM))
        symbols, size = next((each[4], each[5]) for each in self._sections() if each[1] == SHT_DYNSYM)
        for number in range(size // 24):
            if self._read("<H", table + 2 * number)[0] & 0x7FFF in versions:
                self._write("<H", table + 2 * number, ANY_VERSION)
                info = self.data[symbols + 24 * number + 4]
                self.data[symbols + 24 * number + 4] = WEAK << 4 | info & 15

    def _versions(self) -> Iterator[Wanted]:
        place = self._offset(self._tag(DT_VERNEED))
        for _ in range(self._tag(DT_VERNEEDNUM)):
            _, count, library, first, following = self._read("<HHIII", place)
            indices, entry = set(), place + first
            for _ in range(count):
                _, _, index, _, step = self._read("<IHHII", entry)
                indices.add(index & 0x7FFF)
                entry += step
            yield Wanted(place, self._string(library), frozenset(indices))
            place += following

    def _names(self, tag: int, value: int, libraries: set[str]) -> bool:
        return tag == DT_NEEDED and self._string(value) in libraries

    def _entries(self) -> Iterator[tuple[int, int]]:
        place = self._dynamic
        tag, value = self._read("<QQ", place)
        while tag != DT_NULL:
            yield tag, value
            place += 16
            tag, value = self._read("<QQ", place)

    def _sections(self) -> list[tuple[int, ...]]:
        (start,), (size, number) = self._read("<Q", 40), self._read("<HH", 58)
        return [self._read("<IIQQQQ", start + size * each) for each in range(number)]

    def _tag(self, wanted: int) -> int:
        return next((value for tag, value in self._entries() if tag == wanted), 0)

    def _offset(self, address: int) -> int:
        """Where in the file lies what is loaded to an address."""
        for kind, _, offset, start, _, size in self._segments:
            if kind == PT_LOAD and start <= address < start + size:
                return address - start + offset
        raise NoLibraryError

    def _address(self, place: int) -> int:
        for kind, _, offset, start, _, size in self._segments:
            if kind == PT_LOAD and offset <= place < offset + size:
                return place - offset + start
        raise NoLibraryError

    def _string(self, start: int) -> str:
        place = self._strings + start
        return self.data[place : self.data.index(b"\0", place)].decode()

    def _read(self, form: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(form, self.data, place)

    def _write(self, form: str, place: int, *values: int) -> None:
        struct.pack_into(form, self.data, place, *values)


def main(packages: Path) -> None:
    (opencv,) = packages.glob("cv2/cv2*.so")
    library = Library(opencv.read_bytes())
    ffmpeg = {name for name in library.needed() if name.startswith(FFMPEG)}
    if ffmpeg:
        (packages / "hemaloop_without_video.pth").write_text(TELLING)
        library.forget(ffmpeg)
        _replace(opencv, bytes(library.data))
    used = _reached(library.needed(), packages / LIBRARIES)
    for path in (packages / LIBRARIES).iterdir():
        if path.name not in used:
            path.unlink()


def _reached(names: list[str], folder: Path) -> set[str]:
    """Those that are needed, by what is needed."""
    found: set[str] = set()
    while names:
        path = folder / names.pop()
        if path.name not in found and path.exists():
            found.add(path.name)
            names += Library(path.read_bytes()).needed()
    return found


def _replace(path: Path, data: bytes) -> None:
    """Under another name first: a process may have the old file open."""
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    new.chmod(path.stat().st_mode)
    os.replace(new, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
