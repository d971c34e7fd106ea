"""Publish what approvers have signed, and keep the signatures of the server fresh."""

from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from hemaloop.config import read_section, read_settings
from hemaloop.embedded import bucket_environment
from hemaloop.release.parameters import ReleaseParams
from hemaloop.release.status import warnings
from tasks.release import find_pending, mirror_releases, publish_approved, read_status, refresh_metadata


@flow(name="release")
def release(params: str = "params.yaml") -> int | None:
    """Publish the version whose approvals suffice; MLflow says what the signatures and the channel say.

    Returns:
        The version that the channel names; None before the first release.
    """
    section = read_section(Path(params), "release", ReleaseParams)
    with bucket_environment(read_settings()):
        waiting = find_pending(section.expiries)
        if waiting is not None and waiting.missing:
            get_run_logger().warning(waiting.shortfall)
        elif waiting is not None or section.channel in read_status().channels:
            # With nothing waiting it finishes what a killed run left, if anything.
            publish_approved(section)
        version = read_status().channels.get(section.channel)
        for line in mirror_releases(section.channel, section.expiries):
            get_run_logger().warning(line)
    return version


@flow(name="refresh")
def refresh(params: str = "params.yaml") -> list[str]:
    """A new timestamp, and snapshot and channels in good time.

    Returns:
        What people must see to: root or targets that expire soon, a line each.
    """
    section = read_section(Path(params), "release", ReleaseParams)
    with bucket_environment(read_settings()):
        refresh_metadata(section)
        lines = warnings(read_status(), section.expiries)
    for line in lines:
        get_run_logger().warning(line)
    if lines:
        create_markdown_artifact(
            "\n".join(f"- {line}" for line in lines), key="signatures-expire", description="Signatures that expire"
        )
    return lines
