"""What a run of ingest leaves on Prefect's page: its Data Docs, and what was refused, with pictures."""

import base64
import re
from collections.abc import Sequence
from datetime import datetime

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from hemaloop.config import Settings
from hemaloop.embedded import open_bucket
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.quarantine import pictures
from hemaloop.ingest.rules import Judgement

REFUSED = "refused-uploads"
SHOWN = 40  # with their pictures, some 4 KB each; `hemaloop quarantine list` has all


def show(settings: Settings, measured: Sequence[Measured], judgement: Judgement) -> None:
    """A link to the page of this very round, and a table of what was refused. It is settled by now."""
    create_link_artifact(
        f"{settings.docs}/{judgement.docs}",
        link_text=f"Data Docs of round {judgement.round}",
        key="data-docs",
        description="; ".join(judgement.suspect) and f"Suspect: {'; '.join(judgement.suspect)}",
    )
    refused = [found for found in measured if found.upload in judgement.refused]
    shown = refused[:SHOWN]
    small = pictures(Ledger(settings.ledger), open_bucket(settings), [found.upload for found in shown])
    page = markdown(settings.docs, measured, judgement, shown, small)
    create_markdown_artifact(page, key=REFUSED, description=f"{len(refused)} of {len(measured)} uploads refused")


def markdown(
    docs: str, measured: Sequence[Measured], judgement: Judgement, shown: Sequence[Measured], small: dict[int, bytes]
) -> str:
    """The pictures are in it, as data: URIs: Prefect's page needs no way to the bucket to show them."""
    count = len(judgement.refused)
    lines = [f"# {count} of {len(measured)} uploads refused", ""]
    lines += [f"**Suspect**: {plain(line)}\n" for line in judgement.suspect]
    lines += [f"To look at: {plain(line)}\n" for line in judgement.warnings]
    lines += [f"Data Docs: [uploads]({docs}/{judgement.docs}), [devices]({docs}/{judgement.docs_of_devices})", ""]
    if shown:
        lines += ["| picture | upload |", "|---|---|"]
        lines += [_row(found, judgement, small.get(found.upload)) for found in shown]
    if count > len(shown):
        lines += ["", f"and {count - len(shown)} more: `hemaloop quarantine list`"]
    return "\n".join(lines)


def remove_pictures(before: datetime, naming: Sequence[str] = ()) -> int:
    """Remove tables of refused uploads that are older, or name one of these keys: their pictures are in them."""
    removed = 0
    with get_client(sync_client=True) as client:
        for artifact in _tables():
            data = str(artifact.data)
            if (artifact.created and artifact.created < before) or any(plain(key) in data for key in naming):
                client.delete_artifact(artifact.id)
                removed += 1
    return removed


def _tables() -> list[Artifact]:
    """All of them, read before the first is removed."""
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[REFUSED]))
    found: list[Artifact] = []
    with get_client(sync_client=True) as client:
        while page := client.read_artifacts(artifact_filter=wanted, limit=20, offset=len(found)):
            found += page
    return found


def _row(found: Measured, judgement: Judgement, picture: bytes | None) -> str:
    refusal = judgement.refused[found.upload]
    shown = f"![]({_data_uri(picture)})" if picture else "no picture: it does not decode"
    return f"| {shown} | **{refusal.reason}**<br>{plain(refusal.note)}<br>{plain(found.key)} |"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def plain(text: str) -> str:
    """Text that others wrote (keys, sidecars), so that no markup in it works: Prefect's page renders HTML too."""
    return re.sub(r"[^\w ./:=,-]", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
