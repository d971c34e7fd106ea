"""What can be wrong with a model, and with the way of the reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """How a version behaves in the field, beside the one before."""

    name: str
    told: str
    fails_self_test: float = 0.0  # share of the devices
    dies: float = 0.0  # share of the devices that it takes down: they report no more
    returns: float = 0.0  # share of the devices on which it does not survive probation
    errors: float = 0.0  # share of the images without an answer
    latency_ratio: float = 1.0
    one_class: float = 0.0  # share of the images that it calls by the commonest label
    disagrees: float = 0.03  # share of the images that it answers otherwise than the one before
    bad: bool = True


@dataclass(frozen=True)
class Weather:
    """What happens to devices and reports without anybody's fault."""

    off: float = 0.1  # share of the rounds in which a device is switched off
    lost: float = 0.05  # share of the reports that never arrive
    late: float = 0.2  # share that arrive later
    late_hours: float = 12.0  # on average
    errors: float = 0.002  # share of the images that any model leaves without an answer
    latency_spread: float = 0.15  # standard deviation of the logarithm, from report to report
    dies: float = 0.002  # share of the devices that break in a day, whatever they run


GOOD = Model("good", "a good model", bad=False)
MODELS = (
    GOOD,
    Model("self-test", "fails its self-test on 60 % of the devices", fails_self_test=0.6),
    Model("probation", "does not survive probation on 30 % of the devices", returns=0.3),
    Model("dies", "takes 40 % of the devices down: they report no more", dies=0.4),
    Model("errors", "leaves 10 % of the images without an answer", errors=0.1),
    Model("slow", "takes 2.5 times as long", latency_ratio=2.5),
    Model("one class", "calls 90 % of the images neutrophils", one_class=0.9),
    Model("disagrees", "answers 40 % of the images otherwise, in the same shares of labels", disagrees=0.4),
)
