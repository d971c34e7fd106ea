"""Personal data in an image's metadata: where it was taken, with which device, by whom.

A reader of our own: a few tags of a TIFF directory need no library. It follows three fixed
pointers and no chain, so that no file can make it loop.

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
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_XMP_WORDS = {GPS: (b"GPSLatitude",), SERIAL_NUMBER: (b"SerialNumber",), NAME: (b"dc:creator", b"OwnerName")}


def find_private(exif: Iterable[bytes], xmp: Iterable[bytes]) -> str:
    """What was found, of "gps", "serial number" and "name", joined by ", "; "" for nothing. Never raises."""
    found: set[str] = set()
    for tiff in exif:
        found.update(_in_tiff(tiff))
    for packet in xmp:
        found.update(kind for kind, words in _XMP_WORDS.items() if any(word in packet for word in words))
    return ", ".join(kind for kind in (GPS, SERIAL_NUMBER, NAME) if kind in found)


def _in_tiff(tiff: bytes) -> Iterator[str]:
    order = {b"II": "little", b"MM": "big"}.get(tiff[:2])
    if order is None:
        return
    reader = _Tiff(tiff, order == "little")
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
        if not 8 <= at <= len(self._data) - 2:
            return
        for index in range(self.number(at, 2)):
            entry = at + 2 + 12 * index
            if entry + 12 > len(self._data):
                return
            size = self.number(entry + 4, 4) * _TYPE_BYTES.get(self.number(entry + 2, 2), 0)
            start = entry + 8 if size <= 4 else self.number(entry + 8, 4)
            yield self.number(entry, 2), self._data[start : start + size]
