"""Batches that arrive, drawn by Hypothesis: images with or without patient and slide, and links between them."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from hemaloop.dataset.batch import Batch, BatchImage, Link, Origin
from hemaloop.dataset.records import History
from hemaloop.dataset.seal import Sealed, seal
from hemaloop.dataset.split import SplitParams

PARAMS = SplitParams(seed=7, train=0.7, validation=0.15, test=0.15, neighbour_minutes=10)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
LABELS = ("lymphocyte", "monocyte", None)


def image(number: int, origin: Origin, label: str | None = "lymphocyte") -> BatchImage:
    return BatchImage(f"{number:064x}", ".jpg", f"uploads/{origin.device}/{number}.jpg", origin, label)


def origin(minute: int, device: str = "pi-1", slide: str | None = None, patient: str | None = None) -> Origin:
    return Origin(device, NOON + timedelta(minutes=minute), slide, patient)


EMPTY = History({}, {})


def add(history: History, batch: Batch, params: SplitParams = PARAMS) -> tuple[History, Sealed]:
    sealed = seal(batch, history, params)
    images = history.images | ({batch.id: sealed.images} if sealed.images else {})
    return History(images, history.links | ({batch.id: sealed.links} if sealed.links else {})), sealed


names = st.sampled_from(["a", "b", "c", "d"])
origins = st.builds(
    origin,
    st.integers(0, 90),
    st.sampled_from(["pi-1", "pi-2"]),
    st.none() | names,
    st.none() | names,
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[Batch]:
    """Images in batches of any size, with links to any image: of this batch, an older one, or one yet to come."""
    drawn = draw(st.lists(st.tuples(origins, st.sampled_from(LABELS)), min_size=1, max_size=24))
    images = [image(number, where, label) for number, (where, label) in enumerate(drawn)]
    batches = []
    while images:
        size = draw(st.integers(1, len(images)))
        taken, images = images[:size], images[size:]
        to = st.integers(0, len(drawn) - 1).map("{:064x}".format)
        links = draw(st.lists(st.builds(Link, origins, to, st.just("near-duplicate")), max_size=3))
        batches.append(Batch(tuple(taken), tuple(dict.fromkeys(links))))
    return batches
