"""May this device run that release? Values in, a decision out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Running:
    """What the active slot holds, and what it has held."""

    version: int
    highest: int  # the newest version that ever ran here
    fallback: int | None  # the older version that the running release allows to go back to
    intact: bool = True  # False: its file is damaged
    failed: frozenset[int] = frozenset()  # versions that came back from probation here, or failed beside the other


@dataclass(frozen=True)
class Stay:
    version: int


@dataclass(frozen=True)
class Take:
    version: int


@dataclass(frozen=True)
class Refuse:
    reason: str


@dataclass(frozen=True)
class Avoid:
    """It is to be trusted, and still not to be run here."""

    reason: str


Decision = Stay | Take | Avoid | Refuse
_NONE: frozenset[int] = frozenset()


def may_update(running: Running | None, wanted: int, barred: frozenset[int] = _NONE) -> Decision:
    """Forwards always, but to what was halted or failed here; backwards only to the fallback that the newest names.

    A fallback's own fallback does not count: whoever holds the channel key could walk a device back step by step.
    """
    if wanted in barred:
        return Avoid(f"release {wanted} is halted")
    if running is None:
        return Take(wanted)
    if wanted == running.version:
        return Stay(wanted) if running.intact else Take(wanted)
    if wanted in running.failed:
        return Avoid(f"release {wanted} failed here; `hemaloop-device update --again` gives it another try")
    if wanted >= running.highest:
        return Take(wanted)
    if running.version == running.highest and wanted == running.fallback:
        return Take(wanted)
    allowed = "names no fallback" if running.fallback is None else f"allows {running.fallback} alone"
    return Refuse(
        f"release {wanted} is older than release {running.highest}, which ran here, "
        f"and the running release {running.version} {allowed}"
    )


def may_run_beside(running: Running, shadow: int, barred: frozenset[int] = _NONE) -> bool:
    """Whether a version may answer beside the other: its answers decide nothing, so an older one may, too."""
    return shadow != running.version and shadow not in barred | running.failed


def may_go_back(running: Running, idle: int, on_probation: bool, barred: frozenset[int] = _NONE) -> bool:
    """Whether the idle slot's version may run without the channel's word.

    On probation it is what ran here until the switch; else only the fallback that the newest release names.
    """
    return idle not in barred and (on_probation or (running.version == running.highest and idle == running.fallback))
