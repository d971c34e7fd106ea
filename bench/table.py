"""What was found, for people."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.ratio import Ratio


def show(ratios: Sequence[Ratio]) -> None:
    """The ratios; then, for those that know, where the time went."""
    console = Console()
    table = Table("what", "ours, s", "against", "s", "ratio", "goal: at most", "reached")
    for each in ratios:
        figures = (f"{each.ratio:.2f}", f"{each.goal:g}", "yes" if each.reached else "[red]no[/]")
        table.add_row(each.name, f"{each.ours:.3f}", each.limit_is, f"{each.limit:.3f}", *figures)
    console.print(table)
    for each in ratios:
        if each.stages:
            console.print(_stages(each))


def _stages(ratio: Ratio) -> Table:
    table = Table("stage", "seconds", "of it all", title=ratio.name)
    for name, seconds in ratio.stages.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / ratio.ours:.0%}")
    return table
