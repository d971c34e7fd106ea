"""Judge a round by two Great Expectations suites. The only place that knows Great Expectations.

Importing it takes seconds: import this module only when there is something to judge.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hemaloop.errors import HemaloopError
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rounds import Group, Seen, groups, seen
from hemaloop.ingest.rules import Judgement, Refusal, Rule, rules
from hemaloop.ingest.table import limits_of, tabulate
from hemaloop.ingest.thresholds import QUALITIES, Thresholds

UPLOADS, DEVICES = "uploads", "devices"  # the suites: of rows, and of the round as a whole

Expected = tuple[str, Any]  # what it is called in messages, and the expectation


def judge(
    measured: Sequence[Measured], thresholds: Thresholds, earlier: Sequence[Seen], now: datetime, site: Path
) -> Judgement:
    """Judge a round's uploads, then the round as a whole, and build the Data Docs pages of both in the folder `site`.

    Args:
        earlier: settled uploads, newest first; see rounds.before.
    """
    context, run = _context(site), run_name(measured)
    refused = _judge_uploads(context, measured, thresholds, run, now)
    suspect, warnings = _judge_devices(
        context, groups(seen(measured, refused), earlier, thresholds.window_images), thresholds, run, now
    )
    context.build_data_docs()
    return Judgement(refused, suspect, warnings, run, _page(site, UPLOADS), _page(site, DEVICES))


def uploads_suite() -> list[Expected]:
    """A row is an upload. Each limit is a column too: whatever the overrides, the suite stays as long as it is."""
    return [(rule.name, _of_upload(rule)) for rule in rules()]


def devices_suite(thresholds: Thresholds) -> list[Expected]:
    """A row is a device, or the whole round. Of labels somebody may well upload one class in a day: that warns."""
    limits = {"refused_share": thresholds.refused_share} | {f"{name}_drift": thresholds.drift for name in QUALITIES}
    found = [(column, _at_most(column, limit)) for column, limit in limits.items()]
    return [*found, ("class_balance", _at_most("class_balance", thresholds.class_balance, severity="warning"))]


def run_name(measured: Sequence[Measured]) -> str:
    """The same uploads, judged again after a kill, have the same name."""
    return hashlib.sha256("\n".join(f"{found.upload} {found.key}" for found in measured).encode()).hexdigest()[:12]


def _page(site: Path, suite: str) -> str:
    return next(site.glob(f"validations/{suite}/**/*.html")).relative_to(site).as_posix()


def _judge_uploads(
    context: Any, measured: Sequence[Measured], thresholds: Thresholds, run: str, now: datetime
) -> dict[int, Refusal]:
    """The first rule that an upload fails is its reason."""
    table = tabulate(measured, thresholds)
    results = _validate(context, UPLOADS, table, uploads_suite(), ["upload", "key"], run, now)
    by_id, rows = {found.upload: found for found in measured}, table.set_index("upload")
    refused: dict[int, Refusal] = {}
    for rule, result in zip(rules(), results, strict=True):
        for row in _unexpected(result):
            found = by_id[int(row["upload"])]
            if found.upload not in refused:
                value = rows.at[found.upload, rule.column]
                refused[found.upload] = Refusal(rule.reason, _note(rule, found, value, thresholds))
    return refused


def _note(rule: Rule, found: Measured, value: Any, thresholds: Thresholds) -> str:
    if rule.threshold:
        return rule.explain(value, limits_of(found, thresholds)[rule.threshold])
    if rule.column == "private" and found.measures:
        return f"its metadata hold: {found.measures.private_exif}"
    return found.note or (found.measures.note if found.measures else "")


def _judge_devices(
    context: Any, found: Sequence[Group], thresholds: Thresholds, run: str, now: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What makes the round suspect, and what only warns."""
    table = pd.DataFrame([_row(group) for group in found])
    results = _validate(context, DEVICES, table, devices_suite(thresholds), ["name"], run, now)
    told: dict[str, list[str]] = {"critical": [], "warning": []}
    for result in results:
        config = result.expectation_config
        column, limit = config.kwargs["column"], config.kwargs["max_value"]
        for row in _unexpected(result):
            line = f"{row['name']}: {column} {row[column]:.2f}, wanted at most {limit:g}"
            told[config.severity.value].append(line)
    return tuple(told["critical"]), tuple(told["warning"])


def _row(group: Group) -> dict[str, Any]:
    row: dict[str, Any] = {"name": group.name, "uploads": group.uploads, "refused": group.refused}
    row |= {"refused_share": group.refused_share, "class_balance": group.class_balance}
    return row | {f"{name}_drift": group.drifts.get(name, float("nan")) for name in QUALITIES}


def _of_upload(rule: Rule) -> Any:
    from great_expectations import expectations as gxe

    if rule.forbidden:
        return gxe.ExpectColumnValuesToNotBeInSet(column=rule.column, value_set=list(rule.forbidden), notes=rule.reason)
    low, high = (rule.limit, rule.column) if rule.end == "lowest" else (rule.column, rule.limit)
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=high, column_B=low, or_equal=True, ignore_row_if="either_value_is_missing", notes=rule.reason
    )


def _at_most(column: str, limit: float, severity: str = "critical") -> Any:
    from great_expectations import expectations as gxe

    return gxe.ExpectColumnValuesToBeBetween(column=column, max_value=limit, severity=severity)


def _context(site: Path) -> Any:
    """A context in memory, so that a page costs this round and not the history; its site is the folder `site`."""
    # It would send statistics to its makers; it reads this when it is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it tells of each temporary folder
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    for name in list(context.list_data_docs_sites()):
        context.delete_data_docs_site(name)
    context.add_data_docs_site(
        "docs",
        {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    context.data_sources.add_pandas("ingest")
    return context


def _validate(
    context: Any, name: str, table: pd.DataFrame, suite: Sequence[Expected], shown: list[str], run: str, now: datetime
) -> list[Any]:
    """A result for each expectation, in order. `shown`: columns by which a row is known in results and pages."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    for called, expectation in suite:
        expectation.meta = {"rule": called}
    asset = context.data_sources.get("ingest").add_dataframe_asset(name)
    added = context.suites.add(gx.ExpectationSuite(name=name, expectations=[each for _, each in suite]))
    definition = gx.ValidationDefinition(name=name, data=asset.add_batch_definition_whole_dataframe("all"), suite=added)
    found = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table},
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": shown,
            "return_unexpected_index_query": False,
        },
        run_id=RunIdentifier(run_name=run, run_time=now),
    )
    by_name = {result.expectation_config.meta["rule"]: result for result in found.results}
    return [by_name[called] for called, _ in suite]


def _unexpected(result: Any) -> list[dict[str, Any]]:
    """The rows that an expectation does not hold for."""
    for error in _exceptions(result.exception_info):
        # An expectation that could not be computed must not pass for one that held.
        raise HemaloopError(f"{result.expectation_config.meta['rule']} could not be judged: {error}")
    return list(result.result.get("unexpected_index_list") or [])


def _exceptions(info: dict[str, Any]) -> Iterator[str]:
    for each in [info] if "raised_exception" in info else info.values():
        if each["raised_exception"]:
            yield each["exception_message"]
