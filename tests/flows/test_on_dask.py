"""The same flow on a Dask cluster: its workers share the bucket with us, and nothing else."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))  # its site and pictures

from a_cluster import cluster
from ingest_site import PARAMS, environment, settings_of, upload
from sqlalchemy import select

from bench.images import speckles as picture
from drill.site import make_origin
from hemaloop.errors import ConfigError
from hemaloop.imaging import faults
from hemaloop.ingest.ledger import Ledger
from hemaloop.ingest.schema import uploads
from hemaloop.storage import Bucket
from tasks.ingest_plain import ingest_plain

SAME = ("key", "etag", "reason", "sha256", "phash", "measures", "sidecar", "quarantine_key", "original", "batch")


def rows(url: str) -> list[dict[str, Any]]:
    query = select(*(uploads.c[name] for name in SAME)).order_by(uploads.c.key)
    with Ledger(url).reading() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


@pytest.mark.slow
def test_workers_elsewhere_measure_and_the_ledger_says_the_same(
    prefect_harness: None, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.ingest import ingest

    for seed in range(5):
        upload(bucket, f"good-{seed}", picture(seed), "monocyte")
    upload(bucket, "same", picture(0))
    upload(bucket, "dark", faults.darken(picture(7)))
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.read_text().replace("chunk_images: 128", "chunk_images: 2"))
    origin = make_origin(tmp_path)
    for name, value in environment(tmp_path / "home", bucket, origin).items():
        monkeypatch.setenv(name, value)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    with cluster(elsewhere) as address:
        summary = ingest(str(params), dask=address)
    assert [batch["images"] for batch in summary["batches"]] == [5]
    assert not (tmp_path / "home" / "staged").exists()  # what was versioned was read from the bucket again

    alone = settings_of(environment(tmp_path / "alone", bucket, tmp_path / "no-repository"))
    with pytest.raises(ConfigError):
        ingest_plain(alone, str(params))
    assert rows(alone.ledger) == rows(settings_of(environment(tmp_path / "home", bucket, origin)).ledger)
