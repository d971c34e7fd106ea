"""models/pruned.keras and a site's few labelled images -> models/sites/<site>/{model.tflite, adaptation.json}.

No stage of dvc.yaml: `hemaloop adapt` starts it, in a process of its own, as TensorFlow wants one.
"""

import argparse
import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hemaloop.config import read_section
from hemaloop.errors import ConfigError, DataError
from hemaloop.files import write_atomically
from hemaloop.imaging.decode import decode
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.labelled import labelled_images
from hemaloop.inference.metadata import ModelMetadata, attach, read_metadata
from hemaloop.inference.preprocess import preprocess
from hemaloop.model.adaptation import Adapted, AdaptParams, Labels, adapt
from hemaloop.model.parameters import INT8, QuantiseParams
from hemaloop.model.prepared import TRAIN, Pixels, read_prepared
from hemaloop.model.runtime import start_tensorflow
from hemaloop.stages.runner import run

if TYPE_CHECKING:
    from hemaloop.model.sites import Site

PARAMS, SHIPPED, PARENT = Path("params.yaml"), Path("models/model.tflite"), Path("models/pruned.keras")
PREPARED, SHIPPING = Path("data/prepared"), Path("evaluation/quantisation.json")
EXAMINED = 32  # images that a layer's error is measured on, as stage quantise does
SITE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
DIGITS = 4


@dataclass(frozen=True)
class Shipping:
    """What stage quantise did to models/pruned.keras before it shipped; the adapted network gets it too."""

    temperature: float = 1.0
    finer: tuple[str, ...] = ()  # layers that int8 left in float


def main(arguments: Sequence[str] | None = None) -> None:
    args = _parse(arguments)
    params = read_section(PARAMS, "adapt", AdaptParams)
    for path in (SHIPPED, PARENT):
        if not path.exists():
            raise ConfigError(f"{path} is not there: run this in a clone where `dvc repro` or `dvc pull` has run")
    metadata = read_metadata(SHIPPED.read_bytes())
    pixels, labels = read_site(args.folder, metadata, args.um_per_px)
    start_tensorflow(params.seed)
    from hemaloop.model.saved import load
    from hemaloop.model.sites import Site

    shipping = read_shipping(SHIPPING)
    site = Site(load(PARENT), pixels)
    # Else a gain might be the temperature's alone, which the file that ships has already.
    adapted = adapt(site.features, labels, site.head().tempered(shipping.temperature), params)
    content = _write(site, adapted, metadata, params, shipping)
    folder = Path("models/sites") / args.site
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.tflite", content)
    account = _account(adapted, labels, metadata, content, pixels)
    write_atomically(folder / "adaptation.json", (json.dumps(account, indent=2) + "\n").encode())
    _tell(adapted, len(labels), folder)


def read_site(folder: Path, metadata: ModelMetadata, um_per_px: float | None) -> tuple[Pixels, Labels]:
    """Images as the model sees them (n, S, S, 3), and their classes, which their folders are named after.

    Raises:
        DataError: there is no image, a folder is no class of the model's, or an image cannot be decoded.
    """
    images = labelled_images(folder, metadata.classes)
    pixels = []
    for image in images:
        try:
            pixels.append(preprocess(decode(image.path.read_bytes()), metadata.preprocessing, um_per_px))
        except DataError as error:
            raise DataError(f"{image.path}: {error}") from error
    labels = [metadata.classes.index(image.label) for image in images]
    return np.stack(pixels), np.array(labels, np.intp)


def read_shipping(path: Path) -> Shipping:
    """From evaluation/quantisation.json; a clone without it, or with one of before, has neither."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return Shipping(found.get("temperature", {}).get("shipped", 1.0), tuple(found.get("kept_finer", ())))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hemaloop adapt")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--site", required=True)
    parser.add_argument("--um-per-px", type=float)
    args = parser.parse_args(arguments)
    if not SITE_NAME.fullmatch(args.site):
        raise ConfigError(f"--site {args.site!r}: wanted up to 40 of a-z, 0-9 and -, as it names a folder")
    return args


def _write(site: "Site", adapted: Adapted, metadata: ModelMetadata, params: AdaptParams, shipping: Shipping) -> bytes:
    """The adapted network in the form that ships, calibrated on the site's images and some of the training side."""
    from hemaloop.model.quantisation.conversion import choose_calibration

    quantise = read_section(PARAMS, "quantise", QuantiseParams)
    site.use_statistics(adapted.setting.statistics, np.arange(len(site.pixels)))
    site.use_head(adapted.head)
    calibration = site.pixels
    if params.calibration_images and PREPARED.exists():
        training = read_prepared(PREPARED).side(TRAIN, metadata.classes)
        calibration = np.concatenate([calibration, choose_calibration(training, params.calibration_images)])
    elif params.calibration_images:
        print(f"{PREPARED} is not there: quantised by the site's images alone (`dvc repro prepare` makes it)")
    return attach(_convert(site.model, quantise.form, calibration, shipping.finer), metadata)


def _convert(model: Any, form: str, calibration: Pixels, finer: Sequence[str]) -> bytes:
    """In this form; of int8 the layers named `finer` stay float."""
    from hemaloop.model.quantisation.conversion import convert
    from hemaloop.model.quantisation.layers import Layers

    if form != INT8 or not finer:
        return convert(model, form, calibration)
    layers = Layers(model, calibration)
    errors = layers.errors(calibration[:: max(1, len(calibration) // EXAMINED)])
    return layers.keep_float([error for error in errors if error.layer in finer])


def _account(
    adapted: Adapted, labels: Labels, metadata: ModelMetadata, content: bytes, pixels: Pixels
) -> dict[str, Any]:
    """What was adapted to what, how, and what it gained; figures of images that had no part in their own answer."""
    answers = Classifier(content, threads=1).probabilities(pixels)
    outcome = dataclasses.asdict(adapted.outcome)
    return {
        "parent_sha256": hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "images": {metadata.classes[label]: int(count) for label, count in _counts(labels)},
        "setting": dataclasses.asdict(adapted.setting),
        "is_shown": adapted.outcome.is_shown,
        "left_out": {name: round(value, DIGITS) for name, value in outcome.items()},
        # Not an estimate of anything: only whether the file came through quantisation.
        "quantised_right_on_its_own_images": round(float(np.mean(answers.argmax(axis=1) == labels)), DIGITS),
    }


def _counts(labels: Labels) -> list[tuple[int, int]]:
    found, counts = np.unique(labels, return_counts=True)
    return list(zip(found.tolist(), counts.tolist(), strict=True))


def _tell(adapted: Adapted, images: int, folder: Path) -> None:
    outcome, setting = adapted.outcome, adapted.setting
    print(f"adapted with {images} images; each answered without its own part:")
    print(f"  macro sensitivity {outcome.before_sensitivity:.3f} -> {outcome.after_sensitivity:.3f}")
    print(f"  loss {outcome.before_loss:.3f} -> {outcome.after_loss:.3f}", end="")
    print(f" (fall {outcome.gain_low:.3f} to {outcome.gain_high:.3f}, 90 % interval)")
    print(f"  logits divided by {setting.temperature:g}, statistics of the site {setting.statistics:g}")
    if not outcome.is_shown:
        print("  these images are too few to show that it gains: the fall may be chance")
    print(f"{folder / 'model.tflite'} is a new candidate: judge it on images of the site that it has not seen")


if __name__ == "__main__":
    run(main)
