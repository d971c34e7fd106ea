"""The old place of the cameras."""

from hemaloop.device.cameras.folder import FolderCamera
from hemaloop.device.cameras.frame import Camera, Frame

__all__ = ["Camera", "FolderCamera", "Frame"]
