"""The deployments of every flow, with their schedules."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import prefect
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.schedules import Cron, Interval, Schedule

from flows import asking
from flows.events import HOW_TO_START
from flows.wake import WOKEN, trigger
from hemaloop.config import EMBEDDED, Settings, bucket_url, check, read_section
from hemaloop.embedded import BUCKET
from hemaloop.errors import ConfigError

POOL = "hemaloop"
INGEST = "flows/ingest.py:ingest"
RETRAIN = "flows/retrain.py:retrain"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Schedules:
    """Section `schedules` of params.yaml."""

    ingest_seconds: int
    reconcile_seconds: int
    release_seconds: int
    rollout_seconds: int
    retrain_cron: str
    retrain_check_seconds: int  # how often to look whether enough new labelled images have arrived
    refresh_seconds: int
    reports_seconds: int
    purge_cron: str

    def __post_init__(self) -> None:
        for name in (
            "ingest_seconds",
            "reconcile_seconds",
            "release_seconds",
            "rollout_seconds",
            "retrain_check_seconds",
            "refresh_seconds",
            "reports_seconds",
        ):
            check(getattr(self, name) >= 1, f"{name} {getattr(self, name)}: wanted 1 or more")


@dataclass(frozen=True)
class Retrain:
    """Section `retrain` of params.yaml."""

    new_labelled_images: int

    def __post_init__(self) -> None:
        check(self.new_labelled_images >= 1, f"new_labelled_images {self.new_labelled_images}: wanted 1 or more")


def deploy(params: Path, settings: Settings) -> dict[str, str]:
    """Register every flow; deployment -> its schedules, in words.

    Raises: ConfigError: no Prefect server answers, or a schedule is wrong.
    """
    bucket_url(settings)
    _check_server()
    _create_pool()
    plans = plan(read_section(params, "schedules", Schedules), read_section(params, "retrain", Retrain))
    for entrypoint, schedules in plans.items():
        # Two runs of one flow would only wait for each other: the next one finds what this one left.
        triggers = [asking.trigger(bucket_url(settings))] if entrypoint == RETRAIN else []
        _deploy(
            settings, entrypoint, "scheduled", ConcurrencyLimitStrategy.CANCEL_NEW, schedules=schedules,
            triggers=triggers,
        )  # fmt: skip
    told = {entrypoint.split(":")[1]: "; ".join(map(_words, found)) for entrypoint, found in plans.items()}
    told["retrain"] += "; and when the fleet is amiss"
    if bucket := notified_bucket(settings):
        # A wake-up that comes while a woken run is on waits for it: what it speaks of may have come too late for that.
        _deploy(settings, INGEST, WOKEN, ConcurrencyLimitStrategy.ENQUEUE, triggers=[trigger(bucket)])
        told["ingest"] += "; and when `hemaloop watch` hears of uploads"
    return told


def notified_bucket(settings: Settings) -> str | None:
    """The name by which a store's notifications call the bucket; None for a folder, which sends none."""
    url = bucket_url(settings)
    if url == EMBEDDED:
        return BUCKET
    return url.removeprefix("s3://") if url.startswith("s3://") else None


def _deploy(
    settings: Settings, entrypoint: str, name: str, when_taken: ConcurrencyLimitStrategy, **options: Any
) -> None:
    flow = prefect.flow.from_source(source=str(ROOT), entrypoint=entrypoint)
    assert isinstance(flow, prefect.Flow)  # a coroutine only inside an event loop
    flow.deploy(
        name=name,
        work_pool_name=POOL,
        job_variables={"env": _environment(settings)},
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=when_taken),
        print_next_steps=False,
        ignore_warnings=True,  # it would rather have us serve from one process
        **options,
    )


def plan(schedules: Schedules, retrain: Retrain) -> dict[str, list[Schedule]]:
    """Entrypoint -> when it runs."""
    enough = {"minimum_new_images": retrain.new_labelled_images}
    return {
        INGEST: [_every(schedules.ingest_seconds)],
        "flows/reconcile.py:reconcile": [_every(schedules.reconcile_seconds)],
        "flows/purge.py:purge": [Cron(schedules.purge_cron)],
        RETRAIN: [
            Cron(schedules.retrain_cron, parameters={"minimum_new_images": 1}, slug="nightly"),
            _every(schedules.retrain_check_seconds, parameters=enough, slug="enough-new-images"),
        ],
        "flows/release.py:release": [_every(schedules.release_seconds)],
        "flows/rollout.py:rollout": [_every(schedules.rollout_seconds)],
        "flows/release.py:refresh": [_every(schedules.refresh_seconds)],
        "flows/fleet.py:fleet": [_every(schedules.reports_seconds)],
    }


def _every(seconds: int, **options: Any) -> Schedule:
    return Interval(timedelta(seconds=seconds), **options)


def _words(schedule: Schedule) -> str:
    return f"cron {schedule.cron}" if schedule.cron else f"every {schedule.interval}"


def _environment(settings: Settings) -> dict[str, str]:
    """Absolute places, so that a worker started elsewhere finds them. Secrets stay in the worker's own environment."""
    return {
        "HEMALOOP_BUCKET": bucket_url(settings),
        "HEMALOOP_HOME": str(settings.home),
        "HEMALOOP_DOCS": settings.docs,
        "HEMALOOP_REPOSITORY": settings.repository,
        "HEMALOOP_WORKSPACE": str(settings.workspace),
        **({"HEMALOOP_DASK": settings.dask} if settings.dask else {}),
    }


def _check_server() -> None:
    with get_client(sync_client=True) as client:
        error = client.api_healthcheck() if prefect.settings.PREFECT_API_URL.value() else "PREFECT_API_URL is not set"
    if error:
        raise ConfigError(f"no Prefect server ({error}): {HOW_TO_START}")


def _create_pool() -> None:
    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            return
