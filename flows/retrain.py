"""Train, prune, quantise, evaluate, judge and register: `dvc repro`, a stage a task."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from hemaloop.config import read_settings
from hemaloop.embedded import bucket_environment
from tasks.retrain import (
    STAGES,
    attach_bundle,
    judge_and_record,
    publish_models,
    pull_images,
    run_stage,
    synchronise_training,
)


@flow(name="retrain")
def retrain(minimum_new_images: int = 0) -> dict[str, Any]:
    """Make a candidate of the newest dataset revision.

    Args:
        minimum_new_images: with fewer new labelled images since the last training, nothing is done.

    Returns:
        {"gate": "skipped: ..."}; or revision, version (None where the gate refused), gate, metrics, rules, images.
    """
    with bucket_environment(read_settings()):
        found = synchronise_training()
        if found["new_labelled"] < minimum_new_images:
            return {"gate": f"skipped: {found['new_labelled']} new labelled images, {minimum_new_images} wanted"}
        pull_images()
        for stage in STAGES:
            run_stage.with_options(name=stage)(stage)
        revision = publish_models()
        judged = judge_and_record(revision)
        create_table_artifact(table=judged["rules"], key="gate", description=f"{revision[:12]}: {judged['gate']}")
        if judged["version"] is not None:
            attach_bundle(revision, judged["version"])
        return judged | {"revision": revision, "images": found["images"]}
