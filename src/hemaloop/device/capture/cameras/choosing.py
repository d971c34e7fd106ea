"""Which camera device.toml asks for."""

from pathlib import Path

from hemaloop.device.capture.cameras.folder import FolderCamera
from hemaloop.device.capture.cameras.frame import Camera
from hemaloop.device.home import Clock, DeviceSettings
from hemaloop.device.journal import Journal


def choose_camera(settings: DeviceSettings, journal: Journal, clock: Clock) -> Camera | None:
    """The camera, not opened yet; None where the settings name none.

    camera = "/var/lib/camera"           a folder that something else writes images to
    camera = "usb:0", "usb:/dev/video0"  a USB microscope
    camera = "replay:/var/lib/set"       a folder or a video, shown as if a camera took it now
    """
    if settings.camera is None:
        return None
    kind, _, rest = settings.camera.partition(":")
    # OpenCV's video is loaded only where it is used.
    if kind == "usb":
        from hemaloop.device.capture.cameras.usb import UsbCamera

        return UsbCamera(rest, settings.size(), settings.camera_rate, settings.camera_seconds, clock)
    if kind == "replay":
        from hemaloop.device.capture.cameras.replay import ReplayCamera

        return ReplayCamera(Path(rest), settings.camera_rate, settings.camera_seconds, clock)
    return FolderCamera(Path(settings.camera), journal, clock)
