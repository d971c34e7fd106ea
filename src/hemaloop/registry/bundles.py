"""The release bundle of each version, kept beside it in MLflow: approvers sign these bytes and no others."""

import tempfile
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

from hemaloop.errors import ConfigError
from hemaloop.registry.versions import connect, read_version

FOLDER = "release"


def attach(tracking_uri: str, number: int, bundle: bytes) -> None:
    """Keep a version's bundle. A version that has one keeps it: somebody may have signed it already."""
    client = connect(tracking_uri)
    run_id = read_version(tracking_uri, number).run_id
    if _is_there(client, run_id, number):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _name(number)
        path.write_bytes(bundle)
        client.log_artifact(run_id, str(path), FOLDER)


def has_bundle(tracking_uri: str, number: int) -> bool:
    return _is_there(connect(tracking_uri), read_version(tracking_uri, number).run_id, number)


def fetch(tracking_uri: str, number: int) -> bytes:
    """The bundle of a version. Raises: ConfigError: it has none."""
    client = connect(tracking_uri)
    run_id = read_version(tracking_uri, number).run_id
    if not _is_there(client, run_id, number):
        raise ConfigError(f"model version {number} has no release bundle: run the retrain flow again, it makes it")
    uri = f"runs:/{run_id}/{FOLDER}/{_name(number)}"
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)).read_bytes()


def _name(number: int) -> str:
    return f"{number}.zip"


def _is_there(client: MlflowClient, run_id: str, number: int) -> bool:
    return any(Path(found.path).name == _name(number) for found in client.list_artifacts(run_id, FOLDER))
