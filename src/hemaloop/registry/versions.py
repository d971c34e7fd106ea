"""Versions of the registered model, and who they are: candidate, champion."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.tracking import MlflowClient

from hemaloop.errors import ConfigError

MODEL = "hemaloop-classifier"
CANDIDATE, CHAMPION = "candidate", "champion"
AUTHOR = "author"  # tag: who made the version


@dataclass(frozen=True)
class Version:
    """A registered model version."""

    number: int
    revision: str  # the dataset revision that made it
    run_id: str
    metrics: dict[str, float]
    aliases: tuple[str, ...] = ()
    description: str = ""  # Markdown: the short form of the model card
    author: str = ""  # who made it, as git writes people; "": not recorded


def connect(tracking_uri: str) -> MlflowClient:
    """A client, and MLflow's global state pointed at the same store."""
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    return MlflowClient(tracking_uri, tracking_uri)


def find_version(client: MlflowClient, revision: str) -> int | None:
    """The version that was registered from this revision."""
    found = client.search_model_versions(f"name = '{MODEL}'")
    return next((int(version.version) for version in found if version.tags.get("revision") == revision), None)


def read_version(tracking_uri: str, number: int) -> Version:
    """Raises: ConfigError: there is no such version."""
    client = connect(tracking_uri)
    try:
        found = client.get_model_version(MODEL, str(number))
    except MlflowException as error:
        if _is_missing(error):
            raise ConfigError(
                f"model version {number} is not registered: `hemaloop status` lists those that are"
            ) from error
        raise
    metrics = client.get_run(found.run_id).data.metrics
    return Version(
        number, found.tags["revision"], found.run_id, metrics, tuple(found.aliases), found.description or "",
        found.tags.get(AUTHOR, ""),
    )  # fmt: skip


def list_versions(tracking_uri: str) -> list[Version]:
    """Every registered version, oldest first."""
    client = connect(tracking_uri)
    found = client.search_model_versions(f"name = '{MODEL}'")
    numbers = sorted(int(version.version) for version in found)
    return [read_version(tracking_uri, number) for number in numbers]


def aliased(tracking_uri: str, alias: str) -> int | None:
    """The version that carries `alias`, or None."""
    client = connect(tracking_uri)
    try:
        return int(client.get_model_version_by_alias(MODEL, alias).version)
    except MlflowException as error:
        if _is_missing(error):
            return None
        raise


def keep_author(tracking_uri: str, number: int, author: str) -> None:
    """Say who made a version, as "Name <address>". The first word of it stays: somebody may have signed it."""
    if author and not read_version(tracking_uri, number).author:
        connect(tracking_uri).set_model_version_tag(MODEL, str(number), AUTHOR, author)


def set_champion(tracking_uri: str, number: int) -> None:
    """Mirror in MLflow what the signatures say. Raises: ConfigError: there is no such version."""
    read_version(tracking_uri, number)
    connect(tracking_uri).set_registered_model_alias(MODEL, CHAMPION, str(number))


def shipped_file(tracking_uri: str, number: int) -> bytes:
    """The .tflite of a version."""
    read_version(tracking_uri, number)
    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{MODEL}/{number}", dst_path=folder)
        return next(Path(folder).glob("**/*.tflite")).read_bytes()


def _is_missing(error: MlflowException) -> bool:
    # An alias that nothing carries is reported as a bad parameter, a version that is not there as missing.
    return error.error_code in (ErrorCode.Name(RESOURCE_DOES_NOT_EXIST), "INVALID_PARAMETER_VALUE")
