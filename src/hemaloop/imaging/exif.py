"""Personal data in an image's metadata: where it was taken, with which device, by whom.

A reader of our own: a few tags of a TIFF directory need no library. It follows three fixed
pointers and no chain, reads a bounded number of entries and of bytes of each, so that no file can make it loop.

Source: CIPA DC-008 (Exif 2.32), section 4.6; Adobe XMP part 2 for the names in XMP packets.
"""

from collections.abc import Iterable, Iterator

GPS = "gps"
SERIAL_NUMBER = "serial number"
NAME = "name"

_EXIF_POINTER, _GPS_POINTER = 0x8769, 0x8825
_GPS_VERSION = 0  # written by cameras that know no place
_SERIAL_TAGS = frozenset({0xA431, 0xA435, 0xC62F})  # body, lens, DNG camera
_NAME_TAGS = frozenset({0x013B, 0xA430, 0x9C9D})  # artist, camera owner, XP author
_PICTURES = 0xB001  # in an MPF index
_ORIENTATION = 0x0112
_MOST_ENTRIES = 1000  # of a directory; cameras write some tens
_MOST_BYTES = 4096  # of a value
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_XMP_WORDS = {GPS: (b"GPSLatitude",), SERIAL_NUMBER: (b"SerialNumber",), NAME: (b"dc:creator", b"OwnerName")}


def find_private(exif: Iterable[bytes], xmp: Iterable[bytes], authors: Iterable[bytes] = ()) -> str:
    """What was found, of "gps", "serial number" and "name", joined by ", "; "" for nothing. Never raises."""
    found = {NAME for author in authors if _says_something(author)}
    for tiff in exif:
        found.update(_in_tiff(tiff))
    for packet in xmp:
        found.update(kind for kind, words in _XMP_WORDS.items() if any(word in packet for word in words))
    return ", ".join(kind for kind in (GPS, SERIAL_NUMBER, NAME) if kind in found)


def read_orientation(tiff: bytes) -> int | None:
    """What it says of the orientation, 1 to 8, as OpenCV reads it: whatever the type; nonsense is 1; None: nothing."""
    reader = _reader(tiff)
    if reader is None:
        return None
    for entry in reader.entries(reader.number(4, 4)):
        if reader.number(entry, 2) == _ORIENTATION:
            value = reader.number(entry + 8, 2)
            return value if 1 <= value <= 8 else 1
    return None


def count_pictures(tiff: bytes) -> int:
    """Pictures that an MPF index names, at least 1."""
    found = _first(tiff).get(_PICTURES, b"")
    return max(1, int.from_bytes(found, "little" if tiff[:2] == b"II" else "big"))


def _reader(tiff: bytes) -> "_Tiff | None":
    return _Tiff(tiff, tiff[:2] == b"II") if tiff[:2] in (b"II", b"MM") else None


def _first(tiff: bytes) -> dict[int, bytes]:
    """The first directory's entries; none of what is no TIFF structure."""
    reader = _reader(tiff)
    return dict(reader.directory(reader.number(4, 4))) if reader else {}


def _in_tiff(tiff: bytes) -> Iterator[str]:
    reader = _reader(tiff)
    if reader is None:
        return
    first = dict(reader.directory(reader.number(4, 4)))
    camera = dict(reader.directory(reader.pointed(first.get(_EXIF_POINTER, b""))))
    place = dict(reader.directory(reader.pointed(first.get(_GPS_POINTER, b""))))
    if any(tag != _GPS_VERSION and _says_something(value) for tag, value in place.items()):
        yield GPS
    entries = [*first.items(), *camera.items()]
    if any(tag in _SERIAL_TAGS and _says_something(value) for tag, value in entries):
        yield SERIAL_NUMBER
    if any(tag in _NAME_TAGS and _says_something(value) for tag, value in entries):
        yield NAME


def _says_something(value: bytes) -> bool:
    """Many cameras write blanks or zeros where they have nothing to say."""
    return bool(value.strip(b"\0 "))


class _Tiff:
    """Numbers and directories of a TIFF structure; reading past its end gives zeros and nothing."""

    def __init__(self, data: bytes, little: bool) -> None:
        self._data = data
        self._little = little

    def number(self, at: int, size: int) -> int:
        return int.from_bytes(self._data[at : at + size], "little" if self._little else "big")

    def pointed(self, value: bytes) -> int:
        return int.from_bytes(value, "little" if self._little else "big")

    def directory(self, at: int) -> Iterator[tuple[int, bytes]]:
        """(tag, value) of each entry of the directory at `at`; none for offset 0."""
        for entry in self.entries(at):
            size = self.number(entry + 4, 4) * _TYPE_BYTES.get(self.number(entry + 2, 2), 0)
            start = entry + 8 if size <= 4 else self.number(entry + 8, 4)
            yield self.number(entry, 2), self._data[start : start + min(size, _MOST_BYTES)]

    def entries(self, at: int) -> Iterator[int]:
        """Where each entry of the directory at `at` begins."""
        if not 8 <= at <= len(self._data) - 2:
            return
        for index in range(min(self.number(at, 2), _MOST_ENTRIES)):
            entry = at + 2 + 12 * index
            if entry + 12 > len(self._data):
                return
            yield entry
