"""Write one run of the pipeline into MLflow; register its shipped file when the gate holds."""

import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, DataType, Schema

import hemaloop
from hemaloop.registry import pictures
from hemaloop.registry.card import short_card
from hemaloop.registry.gate import Verdict, refusals
from hemaloop.registry.pyfunc import IMAGE, UM_PER_PX, ShippedClassifier
from hemaloop.registry.trained import Trained
from hemaloop.registry.versions import MODEL, connect, find_version

log = logging.getLogger(__name__)

EXPERIMENT = "hemaloop"
SCRIPT = str(Path(__file__).with_name("served.py"))
CARD = Path("evaluation/model-card.md")
REQUIREMENTS = ["numpy", "opencv-python-headless", "ai-edge-litert", "pandas"]


@dataclass(frozen=True)
class Recorded:
    run_id: str
    version: int | None  # None: the gate refused
    gate: str  # "passed" or "refused: rule: found, wanted"


def record(
    tracking_uri: str, artifacts: Path, trained: Trained, verdicts: tuple[Verdict, ...], example: bytes
) -> Recorded:
    """Log parameters, metrics, plots, artifacts and revision; register the version when every rule holds.

    Recording the same revision again changes nothing: a killed flow may be run again.

    Args:
        artifacts: the folder for files, where MLflow is a database; an MLflow server has its own place for them.
        example: one encoded image, kept as the model's input example.
    """
    client = connect(tracking_uri)
    gate = _summary(verdicts)
    experiment = _experiment(client, None if tracking_uri.startswith("http") else artifacts.absolute().as_uri())
    run_id = _existing_run(client, experiment, trained.revision) or _log_run(experiment, trained, verdicts, gate)
    version = None
    if not refusals(verdicts):
        found = find_version(client, trained.revision)
        version = found if found is not None else _register(client, run_id, trained, example)
        client.set_registered_model_alias(MODEL, "candidate", str(version))
    log.info("revision %s: gate %s, version %s", trained.revision[:12], gate, version)
    return Recorded(run_id, version, gate)


def _summary(verdicts: tuple[Verdict, ...]) -> str:
    refused = refusals(verdicts)
    return "refused: " + "; ".join(map(str, refused)) if refused else "passed"


def _existing_run(client: MlflowClient, experiment: str, revision: str) -> str | None:
    """A finished run of this revision; a half-written one does not count."""
    runs = client.search_runs(
        [experiment], f"tags.revision = '{revision}' and attributes.status = 'FINISHED'", max_results=1
    )
    return runs[0].info.run_id if runs else None


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=artifacts))


def _log_run(experiment: str, trained: Trained, verdicts: tuple[Verdict, ...], gate: str) -> str:
    tags = {"revision": trained.revision, "gate": gate, "hemaloop": hemaloop.__version__}
    with mlflow.start_run(experiment_id=experiment, run_name=trained.revision[:12], tags=tags) as run:
        mlflow.log_params(_flat(trained.params))
        mlflow.log_metrics({name: value for name, value in _flat(trained.metrics).items() if value is not None})
        mlflow.log_dict([vars(verdict) for verdict in verdicts], "gate.json")
        _log_files(trained)
        return str(run.info.run_id)


def _log_files(trained: Trained) -> None:
    folder = trained.folder
    mlflow.log_figure(
        pictures.confusion_matrix(folder / "evaluation/confusion.csv", trained.params["classes"]), "confusion.png"
    )
    mlflow.log_figure(pictures.training_curves(folder / "evaluation/training.csv"), "training.png")
    mlflow.log_artifacts(str(folder / "evaluation"), "evaluation")
    for name in ("params.yaml", "dvc.lock"):
        mlflow.log_artifact(str(folder / name))


def _register(client: MlflowClient, run_id: str, trained: Trained, example: bytes) -> int:
    sample = pd.DataFrame({IMAGE: [example]})
    with mlflow.start_run(run_id=run_id), tempfile.TemporaryDirectory() as code:
        info = mlflow.pyfunc.log_model(
            name="classifier",
            python_model=SCRIPT,
            artifacts={"model": str(trained.model)},
            signature=_signature(trained, sample),
            input_example=sample,
            code_paths=[str(_package_copy(Path(code)))],
            pip_requirements=REQUIREMENTS,
        )
    made = mlflow.register_model(info.model_uri, MODEL, tags={"revision": trained.revision})
    client.update_model_version(MODEL, made.version, _description(trained))
    return int(made.version)


def _signature(trained: Trained, sample: pd.DataFrame) -> ModelSignature:
    """What goes in, and as the answer to the example shows, what comes out."""
    inputs = Schema([ColSpec(DataType.binary, IMAGE), ColSpec(DataType.double, UM_PER_PX, required=False)])
    return ModelSignature(inputs, infer_signature(sample, _answer(trained, sample)).outputs)


def _answer(trained: Trained, sample: pd.DataFrame) -> pd.DataFrame:
    """What the model says to the example: the shape of its output."""
    model = ShippedClassifier()
    context = mlflow.pyfunc.PythonModelContext({"model": str(trained.model)}, None)
    model.load_context(context)
    return model.predict(context, sample)


def _package_copy(folder: Path) -> Path:
    """The package as MLflow should keep it: source only."""
    source = Path(hemaloop.__file__).parent
    return Path(shutil.copytree(source, folder / "hemaloop", ignore=shutil.ignore_patterns("__pycache__")))


def _description(trained: Trained) -> str:
    """The short form of the model card; of a run from before there were cards, the figures alone."""
    revision, card = f"Dataset revision `{trained.revision}`.", trained.folder / CARD
    if card.exists():
        return f"{revision}\n\n{short_card(card.read_text())}"
    lines = [f"| {name} | {value} |" for name, value in trained.metrics["int8"].items()]
    return "\n".join([revision, "", "| shipped file | |", "|---|---|", *lines])


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
