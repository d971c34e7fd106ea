"""The comparison for spreadsheets (CSV) and for people (Markdown)."""

import csv
import io
from collections.abc import Mapping, Sequence

from papers.holding import HEAD as HOLDING
from papers.holding import SAYS, holding
from papers.protocols import HONEST, PAPER
from papers.rows import Folds, Result, Row, names_of, percent, training_seconds
from papers.shortened import CHANGES, changes_told
from papers.systems import System, Systems

COMMANDS = {"quick": "make papers-quick", "short": "make papers FORM=short", "full": "make papers"}
HEAD = (
    "system", "paper: accuracy", "ours, paper's protocol: accuracy", "ours, honest protocol: accuracy",
    "paper: sensitivity", "ours, paper's protocol: macro sensitivity",
    "ours, honest protocol: macro sensitivity (95 % interval)",
    "float file, paper's protocol: accuracy, macro sensitivity",
    "float file, honest protocol: accuracy, macro sensitivity", "paper: MB, ms", "float: MB, times faster",
    "shipped: MB, times faster, with preprocessing", "training, s", "px, epochs",
)  # fmt: skip
SAID = "What the papers say besides"
COSTS = 9  # of HEAD, from where it tells of sizes and times
_METRICS = (
    "accuracy", "macro_sensitivity", "macro_specificity", "macro_precision", "macro_f1", "macro_auc", "ece", "brier",
)  # fmt: skip
_REPORTED = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc", "megabytes", "milliseconds")


def between(row: Row, protocol: str, name: str) -> str:
    """A figure and its interval."""
    value, low, high = (row.figure(protocol, name + end) for end in ("", "_low", "_high"))
    return percent(value) if low is None or high is None else f"{percent(value)} ({percent(low)} to {percent(high)})"


def cells(row: Row) -> tuple[str, ...]:
    """A row of HEAD."""
    said = row.reported
    if row.skipped:
        return (
            row.title,
            percent(said.accuracy),
            "skipped",
            "skipped",
            percent(said.sensitivity),
            *[""] * (len(HEAD) - 5),
        )
    return (
        row.title,
        percent(said.accuracy),
        percent(row.figure(PAPER, "accuracy")),
        percent(row.figure(HONEST, "accuracy")),
        percent(said.sensitivity),
        percent(row.figure(PAPER, "macro_sensitivity")),
        between(row, HONEST, "macro_sensitivity"),
        _unquantised(row, PAPER),
        _unquantised(row, HONEST),
        ", ".join(f"{value:g}" for value in (said.megabytes, said.milliseconds) if value is not None),
        _file(row, "float"),
        f"{_file(row, 'shipped')}, {row.run['times_faster']['shipped']['whole']:.1f}",
        f"{training_seconds(row.run) or 0:.0f}",
        f"{row.run['size_px']}, {row.run['trained']['epochs']}",
    )


def _unquantised(row: Row, protocol: str) -> str:
    """Of the file that a paper would ship: what is lost by eight bits is no fault of its network."""
    seen = row.runs.get(protocol, {}).get("float", {}) if row.is_clean else {}
    return ", ".join(percent(seen[name]) for name in ("accuracy", "macro_sensitivity") if name in seen)


def _file(row: Row, name: str) -> str:
    return f"{row.run[name]['bytes'] / 1e6:.2f}, {row.run['times_faster'][name]['network']:.1f}"


def to_markdown(rows: Sequence[Row], folds: Sequence[Folds], systems: Systems, form: str) -> str:
    """The table, why rows are missing, what holds up, what the form left out, folds, and what was chosen."""
    lines = [
        "# Published systems, run and compared",
        "",
        f"Form `{form}`: {systems.form(form).says}. Shares in percent, of the shipped file. Times faster: than float "
        "MobileNetV2 1.0 at 224 px in the same run, one thread, the network alone. Made by "
        f"`{COMMANDS[form]}`; {_made(rows)}.",
        "",
        *_table(HEAD, [cells(row) for row in rows]),
    ]
    lines += _section("Not run", missing_told(rows, systems.systems))
    lines += _section(SAID, said_told(rows))
    if found := holding(rows):
        lines += ["## What holds up", "", SAYS, "", *_table(HOLDING, found)]
    lines += _section(CHANGES, changes_told(systems, names_of(rows), form))
    lines += _section("Weights that training began with", weights_told(rows))
    lines += _section(
        "Ten blocks",
        [
            f"{fold.name}: macro sensitivity {percent(fold.mean)} mean, {percent(fold.worst)} worst of {fold.folds}"
            for fold in folds
        ],
    )
    return "\n".join(lines + _section("Chosen where the papers are silent", choices_told(systems.systems)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def missing_told(rows: Sequence[Row], systems: Mapping[str, System]) -> list[str]:
    """Which figures are not there, and why: a run was skipped, or nobody has made it in this form."""
    told = [f"{row.title}: {row.skipped}" for row in rows if row.skipped]
    made = {row.name: set(row.runs) for row in rows}
    for protocol in (PAPER, HONEST):
        without = [name for name in systems if protocol not in made.get(name, set())]
        if without:
            told.append(f"in this form nobody has yet run, under the {protocol} protocol: {', '.join(without)}")
    return told


def said_told(rows: Sequence[Row]) -> list[str]:
    """What a paper reports that no column has: other images, other devices, single classes."""
    return [f"{row.title} ({row.reported.source}): {row.reported.says}" for row in rows if row.reported.says]


def choices_told(systems: Mapping[str, System]) -> list[str]:
    """Each choice once, with the systems that it was made for; the presets have the rest in their comments."""
    made: dict[str, list[str]] = {}
    for name, system in systems.items():
        for choice in system.choices:
            made.setdefault(choice, []).append(name)
    return [f"{', '.join(names)}: {choice}" for choice, names in made.items()]


def weights_told(rows: Sequence[Row]) -> list[str]:
    """Which file each run began with."""
    began: dict[str, list[str]] = {}
    for row in rows:
        trained = row.run.get("trained", {})
        if "weights_sha256" in trained:
            began.setdefault(f"{trained['weights']} (SHA-256 {trained['weights_sha256'][:12]})", []).append(row.name)
    return [f"{name}: {', '.join(names)}" for name, names in began.items()]


def _made(rows: Sequence[Row]) -> str:
    revisions = sorted(
        {run["revision"][:12] + ("+" if run["changed"] else "") for row in rows for run in row.runs.values()}
    )
    return f"revision {', '.join(revisions)} (+: with uncommitted changes)"


def _section(title: str, points: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {point}" for point in points), ""] if points else []


def to_csv(rows: Sequence[Row]) -> str:
    """A line for each system and protocol, with every figure; the paper's own in columns of their own."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    metrics = [name + end for name in _METRICS for end in ("", "_low", "_high")]
    files = [
        "float_bytes",
        "shipped_bytes",
        "float_times_faster",
        "shipped_times_faster",
        "shipped_whole_times_faster",
        "float_macro_sensitivity",
    ]
    writer.writerow(
        ["system", "protocol", "skipped", *(f"reported_{name}" for name in _REPORTED), *metrics, *files,
         "training_seconds", "size_px", "seed", "revision", "command"]
    )  # fmt: skip
    for row in rows:
        for protocol, run in row.runs.items():
            said = [getattr(row.reported, name) for name in _REPORTED]
            seen = [row.figure(protocol, name) for name in metrics]
            made = [run["size_px"], run["seed"], run["revision"], run["command"]]
            values = [row.name, protocol, run["skipped"], *said, *seen, *_files(run), training_seconds(run), *made]
            writer.writerow(["" if value is None else value for value in values])
    return written.getvalue()


def _files(run: Result) -> list[float | None]:
    if run["skipped"]:
        return [None] * 6
    faster = run["times_faster"]
    networks = [faster[name]["network"] for name in ("float", "shipped")]
    return [
        run["float"]["bytes"],
        run["shipped"]["bytes"],
        *networks,
        faster["shipped"]["whole"],
        run["float"]["macro_sensitivity"],
    ]
