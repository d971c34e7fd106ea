"""What the signatures say, repeated in MLflow for people to see. They alone count: what differs is repaired."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow.tracking import MlflowClient

from hemaloop.registry.versions import CHAMPION, MODEL, aliased, connect

log = logging.getLogger(__name__)

RELEASE, SIGNED_BY = "release", "signed_by"  # tags of a version


@dataclass(frozen=True)
class Standing:
    """Where a version stands, as the signatures say."""

    release: str  # "waiting", "released" or "revoked"
    signed_by: tuple[str, ...]

    def tags(self) -> dict[str, str]:
        return {RELEASE: self.release, SIGNED_BY: ", ".join(self.signed_by)}


def mirror(tracking_uri: str, champion: int | None, standings: Mapping[int, Standing]) -> tuple[str, ...]:
    """Make tags and the alias champion say what the signatures say.

    Args:
        champion: what the channel names; None: nothing.
        standings: of every version that anybody signed; the others lose what they claim.

    Returns:
        What differed, a line each; what is signed but not registered too, for nothing here can repair that.
    """
    client = connect(tracking_uri)
    found = {int(each.version): dict(each.tags) for each in client.search_model_versions(f"name = '{MODEL}'")}
    told = [f"version {version} is signed, and MLflow does not know it" for version in sorted(standings.keys() - found)]
    for version, tags in sorted(found.items()):
        wanted = standings[version].tags() if version in standings else {}
        told += _repair_tags(client, version, tags, wanted)
    told += _repair_champion(client, aliased(tracking_uri, CHAMPION), champion if champion in found else None)
    for line in told:
        log.warning("%s", line)
    return tuple(told)


def _repair_tags(client: MlflowClient, version: int, tags: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    told = []
    for name in (RELEASE, SIGNED_BY):
        before, after = tags.get(name), wanted.get(name)
        if before == after:
            continue
        if after is None:
            client.delete_model_version_tag(MODEL, str(version), name)
        else:
            client.set_model_version_tag(MODEL, str(version), name, after)
        told.append(f"version {version}: {name} is {after}, MLflow had {before}")
    return told


def _repair_champion(client: MlflowClient, before: int | None, wanted: int | None) -> list[str]:
    if before == wanted:
        return []
    if wanted is None:
        client.delete_registered_model_alias(MODEL, CHAMPION)
    else:
        client.set_registered_model_alias(MODEL, CHAMPION, str(wanted))
    return [f"champion is {wanted}, MLflow had {before}"]
