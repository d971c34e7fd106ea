"""The steps of ingest as Prefect tasks: addresses and plain values in, plain values out."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks import ingest_steps as steps
from tasks.retry import RETRY

# The ledger decides what was done before: nothing is cached.
_options: dict[str, Any] = {**RETRY, "cache_policy": NO_CACHE}

find_params = task(**_options, name="find-params")(steps.find_params)
discover = task(**_options, name="discover")(steps.discover)
reconcile = task(**_options, name="reconcile")(steps.reconcile)
claim = task(**_options, name="claim")(steps.claim)
measure = task(**_options, name="measure", task_run_name="measure {chunk.first} ...")(steps.measure)
judge = task(**_options, name="judge")(steps.judge)
settle = task(**_options, name="settle")(steps.settle)
purge = task(**_options, name="purge")(steps.purge)
seal = task(**_options, name="seal")(steps.seal)
claim_batch = task(**_options, name="claim-batch")(steps.claim_batch)
version = task(**_options, name="version", task_run_name="version {sealed.id}")(steps.version)
