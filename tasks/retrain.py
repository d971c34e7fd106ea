"""From a dataset revision to a registered candidate, a step at a time."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task

from hemaloop.config import Settings, read_section, read_settings
from hemaloop.dataset.authors import read_author
from hemaloop.dataset.progress import read_progress
from hemaloop.registry.gate import GateRules, judge
from hemaloop.registry.trained import Trained, read_trained
from hemaloop.release.parameters import ReleaseParams
from tasks.retry import RETRY
from tasks.workspaces import training_workspace

STAGES = ("assemble", "prepare", "train", "prune", "quantise", "evaluate", "examine", "report")


@task(**RETRY)
def synchronise_training() -> dict[str, Any]:
    """Bring the training clone to the newest revision; how many images it holds, and how many are new."""
    clone = training_workspace(read_settings())
    clone.synchronise()
    return asdict(read_progress(clone.folder))


@task(**RETRY)
def pull_images() -> None:
    """Fetch what this revision needs and this machine lacks."""
    training_workspace(read_settings()).pull()


@task(**RETRY)
def run_stage(stage: str) -> None:
    """`dvc repro` of one stage, in the training clone, with the clone's own code."""
    training_workspace(read_settings()).reproduce(stage)


@task(**RETRY)
def publish_models() -> str:
    """Push models and metrics; the revision that holds them."""
    return training_workspace(read_settings()).publish("Train on the newest images", {})


@task(**RETRY)
def judge_and_record(revision: str) -> dict[str, Any]:
    """Judge by the gate, write it into MLflow, register what passed."""
    from hemaloop.registry.champion import champion_macro_sensitivity
    from hemaloop.registry.golden import image_paths
    from hemaloop.registry.record import record
    from hemaloop.registry.versions import keep_author

    settings = read_settings()
    trained = _trained(settings, revision)
    champion = champion_macro_sensitivity(settings.mlflow, trained.folder, trained.params["classes"])
    rules = read_section(trained.folder / "params.yaml", "gate", GateRules)
    verdicts = judge(trained.scores(champion), rules)
    example = next(iter(image_paths(trained.folder).values())).read_bytes()
    recorded = record(settings.mlflow, settings.home / "mlflow-artifacts", trained, verdicts, example)
    if recorded.version is not None:
        keep_author(settings.mlflow, recorded.version, read_author(trained.folder))
    return asdict(recorded) | {"metrics": trained.metrics, "rules": [vars(verdict) for verdict in verdicts]}


@task(**RETRY)
def attach_bundle(revision: str, version: int) -> None:
    """Make what approvers will sign and devices will pull, once, and keep it beside the version."""
    from hemaloop.registry import bundles
    from hemaloop.registry.versions import CHAMPION, aliased
    from hemaloop.release.bundle import build_bundle

    settings = read_settings()
    if bundles.has_bundle(settings.mlflow, version):
        return
    trained = _trained(settings, revision)
    params = read_section(trained.folder / "params.yaml", "release", ReleaseParams)
    bundle = build_bundle(
        trained.model.read_bytes(),
        _golden(trained.folder, params.golden_images),
        version=version,
        dataset_revision=revision,
        created_at=datetime.now(UTC),
        tolerance=params.tolerance,
        latency_budget_ms=params.latency_budget_ms,
        fallback=aliased(settings.mlflow, CHAMPION),
        metrics={name: value for name, value in trained.metrics["int8"].items() if value is not None},
    )
    bundles.attach(settings.mlflow, version, bundle)


def _golden(folder: Path, count: int) -> list[tuple[str, bytes]]:
    from hemaloop.registry.golden import choose, image_paths, read_answers

    paths = image_paths(folder)
    return [(paths[sha256].name, paths[sha256].read_bytes()) for sha256 in choose(read_answers(folder), count)]


def _trained(settings: Settings, revision: str) -> Trained:
    return read_trained(training_workspace(settings).folder, revision)
