"""Sidecars that come, are replaced, or are left after their image was settled, on S3 and on a folder."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from finding_site import TODAY, Site
from sqlalchemy import insert

from bench.images import speckles as picture
from hemaloop.ingest.consent import PATIENT
from hemaloop.ingest.ledger import Step, take
from hemaloop.ingest.rules import CONSENT_WITHDRAWN
from hemaloop.ingest.schema import tombstones
from hemaloop.ingest.states import State
from hemaloop.protocol.keys import UploadKey, sidecar_key

pytestmark = pytest.mark.slow


def test_a_late_sidecar_is_taken_in_until_the_batch_is_sealed_and_told_once_after(site: Site) -> None:
    early, sealed = site.put("early", picture(1)), site.put("sealed", picture(2))
    site.poll()
    site.ingest()
    site.put_sidecar(early, picture(1), label="monocyte", labelled_by="ana", slide="s-1", patient="p-1")
    assert site.poll() == 0
    said = site.trace(early).upload
    assert said.sidecar is not None
    assert (said.sidecar.label, said.sidecar.slide, said.patient) == ("monocyte", "s-1", "p-1")
    site.version()
    before = site.trace(sealed).upload
    site.put_sidecar(sealed, picture(2), label="monocyte", labelled_by="ana", patient="p-2")
    for _ in range(2):
        site.poll()
        site.reconcile()
    after = site.trace(sealed)
    assert after.upload == replace(before, patient="p-2")  # what is sealed stays; `forget` must still find the person
    told = [change.note for trace in (site.trace(early), after) for change in trace.changes]
    assert [note for note in told if note.startswith("a sidecar")] == [
        "a sidecar came late and was taken in: label monocyte",
        f"a sidecar came too late (label monocyte): batch {before.batch} was sealed without it",
    ]


def test_a_late_sidecar_that_cannot_be_right_is_told_and_not_taken_in(site: Site) -> None:
    keys = [site.put(name, picture(seed)) for seed, name in enumerate(("broken", "other-image", "other-pi", "unknown"))]
    site.poll()
    site.ingest()
    broken, image, device, unknown = keys
    site.bucket.write(sidecar_key(broken), b"{")
    site.put_sidecar(image, picture(9))
    site.put_sidecar(device, picture(2), device="pi-2")
    site.put_sidecar(unknown, picture(3), label="werewolf", slide="s-1")
    site.poll()
    said = [site.trace(key) for key in keys]
    assert [trace.upload.sidecar for trace in said[:3]] == [None] * 3
    assert said[3].upload.sidecar is not None
    assert (said[3].upload.sidecar.label, said[3].upload.sidecar.slide) == (None, "s-1")
    for trace, word in zip(said, ("cannot be read", "SHA-256", "pi-2", "werewolf"), strict=True):
        assert word in trace.changes[-1].note


def test_a_sidecar_that_is_replaced_is_taken_in_like_a_late_one(site: Site) -> None:
    key = site.put("c", picture(1))
    site.put_sidecar(key, picture(1), label="monocyte", labelled_by="ana")
    site.poll()
    site.ingest()
    site.put_sidecar(key, picture(1), label="neutrophil", labelled_by="ana")
    site.poll()
    upload = site.trace(key).upload
    assert upload.sidecar is not None
    assert upload.sidecar.label == "neutrophil"


def test_a_sidecar_that_comes_between_finding_and_reading_leaves_no_trace_of_its_own(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.put_sidecar(key, picture(1), label="monocyte", labelled_by="ana")
    site.poll()
    site.ingest()
    before = site.trace(key)
    site.poll()
    assert site.trace(key) == before
    assert before.upload.sidecar is not None


def test_of_what_was_forgotten_nothing_comes_back(site: Site) -> None:
    key = site.put("c", picture(1))
    site.poll()
    site.ingest()
    with site.ledger.writing() as connection:
        take(connection, [Step(site.trace(key).upload.id, State.FORGOTTEN)], "ana", datetime.now(UTC), by_person=True)
    before = site.trace(key)
    site.put_sidecar(key, picture(1), patient="p-1")
    site.poll()
    site.reconcile()
    assert site.trace(key) == before


def test_a_late_sidecar_of_a_patient_who_withdrew_consent_takes_its_image_out(site: Site) -> None:
    key, sealed = site.put("c", picture(1)), site.put("sealed", picture(2))
    site.poll()
    site.ingest()
    with site.ledger.writing() as connection:
        sha256 = hashlib.sha256(b"p-1").hexdigest()
        row = {"kind": PATIENT, "sha256": sha256, "at": datetime.now(UTC), "actor": "ana", "reason": "asked to"}
        connection.execute(insert(tombstones), [row])
    site.put_sidecar(key, picture(1), patient="p-1")
    site.poll()
    assert site.states(key) == [(State.QUARANTINED, CONSENT_WITHDRAWN)]
    assert site.trace(key).upload.patient is None
    assert not site.bucket.exists(key)
    assert not site.bucket.exists(sidecar_key(key))
    site.version()
    site.put_sidecar(sealed, picture(2), patient="p-1")
    site.poll()
    assert site.trace(sealed).upload.patient == "p-1"  # `hemaloop forget` finds it
    assert "hemaloop forget" in site.trace(sealed).changes[-1].note


def test_a_sidecar_that_outlives_its_image_is_not_alone_and_told_if_it_is_new(site: Site) -> None:
    known, late = site.put("known", picture(1)), site.put("late", picture(2))
    site.put_sidecar(known, picture(1))
    site.poll()
    site.ingest()
    before = site.trace(known)
    site.bucket.delete(known)
    site.bucket.delete(late)
    site.put_sidecar(late, picture(2), label="monocyte", labelled_by="ana")
    assert site.reconcile().lone_sidecars == 0
    assert site.trace(known) == before
    assert "taken in: label monocyte" in site.trace(late).changes[-1].note


def test_sidecars_whose_image_never_comes_are_counted(site: Site) -> None:
    for capture in ("a", "b"):
        site.put_sidecar(str(UploadKey("pi-1", TODAY, capture)), b"never came")
    site.put("c")
    waiting = replace(site.params, settle_seconds=60)
    assert site.reconcile(params=waiting).lone_sidecars == 0  # their images may have come since their page was listed
    found = site.reconcile()
    assert (found.entered, found.lone_sidecars) == (1, 2)
