"""The bot's two clones. They share DVC's cache; ingest commits in one while the other trains (docs/adr/0005)."""

from hemaloop.config import Settings
from hemaloop.dataset.repository import Workspace
from hemaloop.embedded import open_bucket
from hemaloop.protocol.keys import DVC


def ingest_workspace(settings: Settings) -> Workspace:
    """The clone that seals batches."""
    return _open(settings, "")


def training_workspace(settings: Settings) -> Workspace:
    """The clone that trains."""
    return _open(settings, "-training")


def _open(settings: Settings, suffix: str) -> Workspace:
    folder = settings.workspace.with_name(settings.workspace.name + suffix)
    remote = f"{open_bucket(settings).url}/{DVC}"
    return Workspace(folder, settings.repository, remote, settings.home / "dvc-cache")
