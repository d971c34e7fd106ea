"""A release side and a device, both real."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
from tiny_model import CLASSES, SIZE_PX, tiny_tflite
from tuf.api.metadata import TargetFile

from hemaloop.device.answering import Answering
from hemaloop.device.home import Clock, DeviceSettings, Home, set_up, utc_now
from hemaloop.device.journal import Journal
from hemaloop.device.transport import open_transport
from hemaloop.device.updates import probation
from hemaloop.device.updates.slots import Slots
from hemaloop.device.updates.update import Outcome, update
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.protocol.bundle import Bundle, GoldenImage, Release, pack
from hemaloop.protocol.channel import Channel, channel_target, model_target
from hemaloop.protocol.documents import encode
from hemaloop.release.approvals import pending
from hemaloop.release.approvals.approval import approve
from hemaloop.release.channels import write_channel
from hemaloop.release.keys.ceremony import hold_ceremony
from hemaloop.release.keys.signers import OnlineKeys, load_key, load_online
from hemaloop.release.metadata import State, read_state, sign, target_key
from hemaloop.release.online import advance, next_channels
from hemaloop.release.parameters import EXPIRIES
from hemaloop.release.publish import publish
from hemaloop.storage import Bucket

PEOPLE = ("ada", "bela", "chen")
COLOURS = {"lymphocyte": (200, 60, 60), "monocyte": (60, 200, 60), "neutrophil": (60, 60, 200)}  # RGB


def image(label: str, seed: int = 0, side_px: int = 64) -> bytes:
    """A noisy PNG that the tiny model takes for `label`."""
    noise = np.random.default_rng(seed).integers(-40, 40, (side_px, side_px, 3))
    pixels = np.clip(np.array(COLOURS[label]) + noise, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])


def build_blind(version: int) -> Bundle:
    """A bundle that passes its self-test, for its golden images are dark; to a bright one its model has no answer."""
    model = attach(tiny_tflite(gain=1e37), ModelMetadata(CLASSES, SIZE_PX))
    golden, images = [], {}
    for label in CLASSES:
        pixels = np.full((64, 64, 3), [colour // 10 for colour in COLOURS[label]], np.uint8)
        images[f"{label}.png"] = bytes(cv2.imencode(".png", pixels[..., ::-1])[1])
        answer = Classifier(model).classify(images[f"{label}.png"])
        assert answer.label == label
        golden.append(GoldenImage(f"{label}.png", label, tuple(answer.probabilities.values())))
    return Bundle(Release(version, "0" * 40, utc_now(), tuple(golden), 0.02, 1000.0), model, images)


def build(version: int, fallback: int | None = None, latency_budget_ms: float = 1000.0) -> Bundle:
    """A bundle that passes its self-test. One golden image is large, so that a download can be cut in it."""
    model = attach(tiny_tflite(gain=0.05 + version / 1000), ModelMetadata(CLASSES, SIZE_PX))
    classifier = Classifier(model)
    golden, images = [], {}
    for label, side_px in zip(CLASSES, (64, 64, 400), strict=True):
        data = image(label, version, side_px)
        answer = classifier.classify(data)
        assert answer.label == label
        golden.append(GoldenImage(f"{label}.png", label, tuple(answer.probabilities.values())))
        images[f"{label}.png"] = data
    release = Release(version, "0" * 40, utc_now(), tuple(golden), 0.02, latency_budget_ms, fallback)
    return Bundle(release, model, images)


@dataclass(frozen=True)
class Cloud:
    """The release side, with every key in reach; `thief_...` is what the server's keys alone can do."""

    bucket: Bucket
    offline: Path
    online: Path

    def approve(self, bundle: Bundle, people: int = 2) -> None:
        for person in PEOPLE[:people]:
            key = self.offline / f"approver-{person}.pem"
            approve(self.bucket, bundle.release.version, pack(bundle), key, person, "a test", utc_now())

    def release(self, bundle: Bundle) -> None:
        self.approve(bundle)
        publish(self.bucket, self.online, "stable", utc_now())

    def say(self, channel: Channel) -> None:
        """Write a channel, as a rollout does."""
        data = encode(channel)
        target = TargetFile.from_data(channel_target(channel.name), data)
        self.bucket.write(target_key(target), data)
        self._advance(lambda state: state, {target.path: target})

    def thief_moves_the_channel(self, version: int) -> None:
        self._advance(lambda state: state, {"channels/stable.json": write_channel(self.bucket, "stable", version)})

    def thief_publishes_what_is_half_signed(self, bundle: Bundle) -> None:
        self.approve(bundle, people=1)
        state = read_state(self.bucket)
        proposal = pending.waiting(self.bucket, state, utc_now())
        assert proposal is not None
        document = proposal.document()
        target = TargetFile.from_data(model_target(bundle.release.version), pack(bundle))
        self.bucket.write(target_key(target), pack(bundle))
        channel = write_channel(self.bucket, "stable", bundle.release.version)
        self._advance(lambda state: replace(state, targets=document), {"channels/stable.json": channel})

    def thief_signs_a_model_as_a_channel(self, bundle: Bundle) -> None:
        path = model_target(bundle.release.version)
        target = TargetFile.from_data(path, pack(bundle))
        self.bucket.write(target_key(target), pack(bundle))
        channel = write_channel(self.bucket, "stable", bundle.release.version)
        self._advance(lambda state: state, {path: target, "channels/stable.json": channel})

    def approvers_delegate_every_path(self) -> None:
        """What no approver should sign, and one day does: the channel key may sign anything."""
        state = read_state(self.bucket)
        signed = copy.deepcopy(state.targets.signed)
        signed.version += 1
        assert signed.delegations is not None
        assert signed.delegations.roles is not None
        signed.delegations.roles["channels"].paths = ["*/*"]
        people = [load_key(self.offline / f"approver-{person}.pem") for person in PEOPLE[:2]]
        self._advance(lambda changed: replace(changed, targets=sign(signed, people)), {})

    def object_of(self, bundle: Bundle) -> str:
        """The key of a released bundle."""
        return target_key(TargetFile.from_data(model_target(bundle.release.version), pack(bundle)))

    def _advance(self, change: Callable[[State], State], files: dict[str, TargetFile]) -> None:
        state = read_state(self.bucket)
        keys: OnlineKeys = load_online(self.online, state.root, state.targets.signed)
        changed = change(replace(state, channels=next_channels(state, keys, files, utc_now(), EXPIRIES)))
        advance(self.bucket, state, changed, keys, utc_now(), EXPIRIES)


@dataclass(frozen=True)
class Pi:
    """A device, driven in this process."""

    home: Home
    settings: DeviceSettings
    journal: Journal

    @property
    def slots(self) -> Slots:
        return Slots(self.home.slots)

    def update(self, clock: Clock = utc_now) -> Outcome:
        return update(self.home, self.settings, self.journal, open_transport(self.settings.bucket), clock)

    def look(self, *labels: str) -> list[bool]:
        """Classify an image of each label, as the agent does after a start; whether each is done with."""
        folder = self.home.folder / "looked-at"
        folder.mkdir(exist_ok=True)
        answering = Answering(self.home, self.settings, self.journal, utc_now)
        done = []
        for label in labels:
            path = folder / f"20261121-{len(list(folder.iterdir()))}.png"
            path.write_bytes(image(label) if label in COLOURS else b"no image")
            done.append(answering.answer(path))
        return done

    @property
    def probation(self) -> str:
        return probation.text(self.slots.active(), self.journal)

    def answers(self, label: str) -> bool:
        """Whether the model that runs knows this cell."""
        return Classifier(self.slots.model().content).classify(image(label)).label == label


def hold(bucket: Bucket, folder: Path, now: datetime | None = None) -> Cloud:
    cloud = Cloud(bucket, folder / "offline", folder / "online")
    hold_ceremony(bucket, cloud.offline, cloud.online, PEOPLE, 2, now or datetime.now(UTC))
    return cloud


def new_pi(cloud: Cloud, folder: Path, url: str | None = None, camera: Path | None = None) -> Home:
    home = Home(folder)
    settings = DeviceSettings("pi-1", url or cloud.bucket.url, "stable", camera=str(camera) if camera else None)
    set_up(home, settings, (cloud.offline / "root.json").read_bytes())
    return home
