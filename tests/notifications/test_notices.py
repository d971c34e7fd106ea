"""Lost, doubled and reordered notifications change nothing but the delay: the keys are the same, or fewer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notices import BUCKET, TEST_EVENT, by_sns, capture, minio, record, s3

from hemaloop.errors import DataError
from hemaloop.notifications.parsing import arrived_keys, is_upload_part

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
keys = st.builds(
    lambda device, day, name, suffix: f"uploads/{device}/2026/01/{day:02}/{name}{suffix}",
    names, st.integers(1, 31), names, st.sampled_from([".jpg", ".jpeg", ".png", ".json"]),
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["Records", "s3", "eventName", "x"]), inner),
    max_leaves=10,
)


@given(st.lists(keys, max_size=8), st.randoms(use_true_random=False), st.sampled_from([s3, by_sns, minio]))
def test_any_order_loss_and_doubling_gives_a_part_of_the_same_keys(sent, random, form) -> None:  # type: ignore[no-untyped-def]
    heard = [key for key in sent + sent if random.random() < 0.7]
    random.shuffle(heard)
    wrap = {s3: s3, minio: minio, by_sns: lambda key: by_sns(s3(key))}[form]
    found = {key for each in heard for key in arrived_keys(wrap(each), BUCKET)}
    assert found == set(heard) <= set(sent)


@given(st.lists(keys, max_size=8))
def test_each_key_is_named_once(sent: list[str]) -> None:
    assert arrived_keys(s3(*sent, *sent), BUCKET) == tuple(dict.fromkeys(sent))


@pytest.mark.parametrize(
    "body",
    [
        TEST_EVENT,
        by_sns(TEST_EVENT),
        s3(capture(1), bucket="another"),
        s3(capture(1), event="ObjectRemoved:Delete"),
        s3("reports/pi-1/2026/01/31/a.json", "dvc/files/md5/ab", "quarantine/a.jpg", "uploads/a.jpg"),
        s3("uploads/../../etc/2026/01/31/a.jpg", "uploads/pi-1/2026/13/31/a.jpg", "uploads/pi-1/2026/01/31/a b.jpg"),
        json.dumps({"Records": [None, 1, {}, {"s3": {"object": {"key": 7}}}, {"eventName": None}]}).encode(),
    ],
)
def test_what_is_none_of_ours_wakes_nobody(body: bytes) -> None:
    assert arrived_keys(body, BUCKET) == ()


def test_a_strange_record_does_not_hide_the_others() -> None:
    body = json.dumps({"Records": [{"s3": None}, record(capture(1)), "x"]}).encode()
    assert arrived_keys(body, BUCKET) == (capture(1),)


def test_keys_are_decoded_as_s3_encodes_them() -> None:
    """A bucket's own prefix may hold anything; what is ours holds no character that is encoded but the slash."""
    body = s3(capture(1))
    assert b"uploads%2Fpi-1%2F" in body
    assert arrived_keys(body, BUCKET) == (capture(1),)
    plus = body.replace(b"pi-1", b"pi+1")  # a space
    assert arrived_keys(plus, BUCKET) == ()


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"1", b"{}", b'{"Records": 1}', b"[" * 100_000, by_sns(b"[]")])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(DataError, match="notification"):
        arrived_keys(body, BUCKET)


@given(json_values)
def test_nothing_but_a_clear_refusal_comes_of_any_json(value: object) -> None:
    try:
        found = arrived_keys(json.dumps(value).encode(), BUCKET)
    except DataError:
        return
    assert all(is_upload_part(key) for key in found)
