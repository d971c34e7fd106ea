"""Does a model answer here as it did where it was built? Asked in a process of its own.

A model that hangs, or takes the interpreter down with it, then fails its test and nothing else.
`python -m hemaloop.device.updates.self_test SLOT` prints a SelfTest as JSON.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Answer, Classifier
from hemaloop.protocol.bundle import GOLDEN, MODEL, RELEASE, GoldenImage, Release
from hemaloop.protocol.documents import decode, encode

LIMIT_SECONDS = 120


@dataclass(frozen=True)
class SelfTest:
    failure: str  # "" when it passed
    latency_ms: float  # median of a golden image, decoding included; 0.0 when nothing was measured


def run_apart(slot: Path, limit_seconds: float = LIMIT_SECONDS) -> SelfTest:
    """Test the model in a slot, from what is on the disk now."""
    command = [sys.executable, "-P", "-m", "hemaloop.device.updates.self_test", str(slot)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit_seconds, check=False)
    except subprocess.TimeoutExpired:
        return SelfTest(f"the self-test took longer than {limit_seconds:g} s", 0.0)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return SelfTest(f"the self-test ended with {done.returncode}: {said[-1] if said else 'no message'}", 0.0)
    try:
        return decode(done.stdout, SelfTest)
    except DataError as error:
        return SelfTest(f"the self-test's answer: {error}", 0.0)


def examine(slot: Path) -> SelfTest:
    """Classify the golden images and compare."""
    release = decode((slot / RELEASE).read_bytes(), Release)
    if not release.golden:
        return SelfTest("the release has no golden images to test with", 0.0)
    classifier = Classifier((slot / MODEL).read_bytes())
    images = {image.name: (slot / GOLDEN / image.name).read_bytes() for image in release.golden}
    classifier.classify(images[release.golden[0].name])  # the first call also prepares the interpreter
    answers = {name: classifier.classify(data) for name, data in images.items()}
    latency_ms = median(answer.latency_ms for answer in answers.values())
    failures = [compare(image, answers[image.name], release.tolerance) for image in release.golden]
    failures.append(_latency(latency_ms, release.latency_budget_ms))
    return SelfTest(next((failure for failure in failures if failure), ""), latency_ms)


def compare(golden: GoldenImage, answer: Answer, tolerance: float) -> str:
    """ "" or how an answer differs from the known one; both list the classes in the model card's order."""
    got = tuple(answer.probabilities.values())
    if len(got) != len(golden.probabilities):
        return f"golden image {golden.name}: wanted {len(golden.probabilities)} probabilities, got {len(got)}"
    if answer.label != golden.label:
        return f"golden image {golden.name}: wanted {golden.label}, got {answer.label}"
    difference = max(abs(a - b) for a, b in zip(got, golden.probabilities, strict=True))
    # Written so that a probability that is no number fails too.
    if not difference <= tolerance:
        return f"golden image {golden.name}: a probability differs by {difference:.3f}, allowed is {tolerance:g}"
    return ""


def _latency(latency_ms: float, budget_ms: float) -> str:
    if latency_ms <= budget_ms:
        return ""
    return f"an image takes {latency_ms:.1f} ms here, allowed are {budget_ms:g} ms"


if __name__ == "__main__":
    sys.stdout.write(encode(examine(Path(sys.argv[1]))).decode())
