"""How many devices ever run a bad model: a simulated fleet under the rollout's own rule, against all at once.

    python -m bench.rollout                       10,000 devices: some minutes; a table, and .bench/rollout.html
    python -m bench.rollout --devices 1000        sooner

With section `rollout` of params.yaml, so a change of its limits shows here what it is worth.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup
from rich.console import Console

from hemaloop.config import read_section
from hemaloop.files import write_atomically
from hemaloop.model.report import blocks
from hemaloop.model.report.page import BAD, GOOD, Badge, Section, Tile, render
from hemaloop.model.report.plots import Line, lines
from hemaloop.release.rollout.parameters import RolloutParams
from hemaloop.release.rollout.rule import Mode
from hemaloop.release.simulation.faults import GOOD as GOOD_MODEL
from hemaloop.release.simulation.faults import MODELS, Model, Weather
from hemaloop.release.simulation.run import Outcome, simulate

PAGE = Path(".bench/rollout.html")
SEED = 7
FALSE_ALARMS = 20  # good models, each in a fleet of its own
SMALL_FLEET = 500
ROUGH = Weather(off=0.3, lost=0.4, late=0.5, late_hours=24.0, dies=0.01)
COLUMNS = ("model", "all at once", "phases", "phases and shadow runs", "bad network")


@dataclass(frozen=True)
class Compared:
    """One model, brought to the same fleet in different ways."""

    model: Model
    at_once: Outcome
    phases: Outcome
    shadowed: Outcome
    rough: Outcome  # as `shadowed`, where many reports are lost or late

    @property
    def ways(self) -> tuple[Outcome, ...]:
        return self.at_once, self.phases, self.shadowed, self.rough


def compare(model: Model, params: RolloutParams, devices: int) -> Compared:
    last = replace(params.phases[-1], percent=100.0)
    return Compared(
        model,
        simulate(model, replace(params, phases=(last,), shadow=False), devices, SEED),
        simulate(model, replace(params, shadow=False), devices, SEED),
        simulate(model, replace(params, shadow=True), devices, SEED),
        simulate(model, replace(params, shadow=True), devices, SEED, ROUGH),
    )


def false_alarms(params: RolloutParams) -> list[Outcome]:
    """Good models that were stopped all the same."""
    found = [simulate(GOOD_MODEL, params, SMALL_FLEET, seed) for seed in range(FALSE_ALARMS)]
    return [outcome for outcome in found if outcome.mode != Mode.FINISHED]


def page(found: Sequence[Compared], stopped: int, devices: int, params: RolloutParams) -> str:
    bad = [each for each in found if each.model.bad]
    worst = max((each.shadowed for each in bad), key=lambda outcome: outcome.ever)
    caught = sum(each.shadowed.mode != Mode.FINISHED for each in bad)
    return render(
        "Rollouts, simulated",
        [_devices(found), *(_model(each) for each in found), _how(params)],
        subtitle=f"{devices:,} devices; rule, places and channel are those that real devices follow",
        badge=Badge(f"{caught} of {len(bad)} bad models stopped", GOOD if caught == len(bad) else BAD),
        tiles=(
            Tile("worst bad model", f"{worst.ever:,}", f"devices ever ran it ({worst.model.name}), of {devices:,}"),
            Tile("good models stopped", f"{stopped} of {FALSE_ALARMS}", f"fleets of {SMALL_FLEET} devices"),
        ),
        footer="Written by python -m bench.rollout.",
    )


def _devices(found: Sequence[Compared]) -> Section:
    rows = [[each.model.told, *(_told(outcome) for outcome in each.ways)] for each in found]
    return Section("Devices that ever ran it", [
        blocks.table(COLUMNS, rows, "Devices that ran the version, if only for a moment, and after how many hours "
                     "it was stopped; all at once, too, the rule watches.", words=range(1, len(COLUMNS))),
        blocks.paragraph("A model that answers otherwise in the same shares of labels shows in shadow runs alone: "
                         "nothing else that devices report speaks of it.", "note"),
    ])  # fmt: skip


def _told(outcome: Outcome) -> str:
    if outcome.hours is None:
        return f"{outcome.ever:,}: no end"
    done = "taken by all" if outcome.mode == Mode.FINISHED else outcome.mode
    return f"{outcome.ever:,}: {done}, {outcome.hours} h"


def _model(each: Compared) -> Section:
    series = [
        Line(name, [hour.hour for hour in outcome.history], [hour.ever for hour in outcome.history])
        for name, outcome in zip(COLUMNS[1:], each.ways, strict=True)
    ]
    alt = f"Devices that ever ran the version, by hour: {each.model.told}"
    reasons = [
        Markup("{}: {}").format(name, outcome.reason) for name, outcome in zip(COLUMNS[1:], each.ways, strict=True)
    ]
    svg = lines(series, "hours since the rollout began", "devices that ever ran it", alt, markers=False)
    return Section(each.model.name, [
        blocks.paragraph(each.model.told.capitalize() + "."),
        blocks.figure(svg, "Devices that ever ran the version."),
        blocks.details("Why it ended", [blocks.bullets(reasons)]),
    ])  # fmt: skip


def _how(params: RolloutParams) -> Section:
    phases = " then ".join(f"{phase.percent:g} % for {phase.hours:g} h" for phase in params.phases)
    fair = Weather()
    return Section("How it was simulated", [
        blocks.paragraph(
            f"Phases: {phases}. A device looks every four hours; {fair.off:.0%} of the time it is off, {fair.lost:.0%} "
            f"of the reports are lost, {fair.late:.0%} are late by {fair.late_hours:g} hours on average. Over the bad "
            f"network it is {ROUGH.off:.0%}, {ROUGH.lost:.0%}, {ROUGH.late:.0%} and {ROUGH.late_hours:g} hours, and "
            f"{ROUGH.dies:.0%} of the devices break each day by themselves. Devices differ in speed, in patients, and "
            "in how many images they see."
        ),
        blocks.paragraph("What devices do is invented; how they are decided on is not: no figure here speaks of real "
                         "devices or real models.", "note"),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=10_000, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="(default: %(default)s)")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE", help="(default: %(default)s)")
    asked = parser.parse_args()
    params = read_section(asked.params, "rollout", RolloutParams)
    console = Console()
    console.print(f"devices that ever ran the version, of {asked.devices:,}")
    found = []
    for model in MODELS:
        with console.status(model.told):
            found.append(compare(model, params, asked.devices))
        told = zip(COLUMNS[1:], found[-1].ways, strict=True)
        console.print(f"{model.name}: {'; '.join(f'{way} {_told(outcome)}' for way, outcome in told)}", soft_wrap=True)
    stopped = false_alarms(params)
    console.print(f"good models that were stopped: {len(stopped)} of {FALSE_ALARMS}, in fleets of {SMALL_FLEET}")
    for outcome in stopped:
        console.print(f"  {outcome.mode}: {outcome.reason}")
    asked.page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(asked.page, page(found, len(stopped), asked.devices, params).encode())
    console.print(f"written to {asked.page}")


if __name__ == "__main__":
    main()
