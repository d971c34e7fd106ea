"""May this device run that release? Values in, a decision out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Running:
    """What the active slot holds, and what it has held."""

    version: int
    highest: int  # the newest version that ever ran here
    fallback: int | None  # the older version that the running release allows to go back to
    intact: bool = True  # False: its file is damaged


@dataclass(frozen=True)
class Stay:
    version: int


@dataclass(frozen=True)
class Take:
    version: int


@dataclass(frozen=True)
class Refuse:
    reason: str


def may_update(running: Running | None, wanted: int) -> Stay | Take | Refuse:
    """Forwards always; backwards only to the fallback that the newest release names.

    A fallback's own fallback does not count: whoever holds the channel key could walk a device back step by step.
    """
    if running is None:
        return Take(wanted)
    if wanted == running.version:
        return Stay(wanted) if running.intact else Take(wanted)
    if wanted >= running.highest:
        return Take(wanted)
    if running.version == running.highest and wanted == running.fallback:
        return Take(wanted)
    allowed = "names no fallback" if running.fallback is None else f"allows {running.fallback} alone"
    return Refuse(
        f"release {wanted} is older than release {running.highest}, which ran here, "
        f"and the running release {running.version} {allowed}"
    )
