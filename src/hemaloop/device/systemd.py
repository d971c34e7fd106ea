"""What systemd wants to hear: that we are ready, that we are alive, what we do. Without systemd, nobody listens.

Source: sd_notify(3).
"""

import os
import socket


def notify(state: str) -> None:
    """Send e.g. READY=1, WATCHDOG=1 or STATUS=...; a socket that is gone is systemd's affair, not ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as stream:
        try:
            # "@" stands for the zero byte of an abstract address.
            stream.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except (FileNotFoundError, ConnectionRefusedError):
            return


def watchdog_seconds() -> float | None:
    """Within how many seconds systemd wants to hear of us; None: it does not."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() else None
