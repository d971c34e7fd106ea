"""Judge a table of measures by a Great Expectations suite. The only place that knows Great Expectations.

Importing it takes seconds: import this module only when there is something to judge.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hemaloop.errors import HemaloopError
from hemaloop.ingest.measuring import Measured
from hemaloop.ingest.rules import Judgement, Refusal, Rule, Thresholds, rules

SUITE = "uploads"

# Known only of what could be decoded.
_QUALITIES = ("focus", "brightness", "contrast", "clipped", "foreground")


def judge(measured: Sequence[Measured], thresholds: Thresholds, now: datetime, site: Path) -> Judgement:
    """Judge a run's uploads, and build the Data Docs page of it in the folder `site`."""
    table = tabulate(measured)
    ordered = rules(thresholds)
    context = _context(site)
    failed = _validate(context, table, ordered, run_name(measured), now)
    context.build_data_docs()
    refused: dict[int, Refusal] = {}
    notes = {found.upload: found.note for found in measured}
    rows = table.set_index("upload")
    for rule, uploads in zip(ordered, failed, strict=True):
        for upload in uploads:
            note = rule.explain(rows.at[upload, rule.column]) or notes[upload]
            refused.setdefault(upload, Refusal(rule.reason, note))
    page = next(site.glob("validations/**/*.html"))
    suspect = len(refused) > thresholds.refused_share * len(table)
    return Judgement(refused, suspect, page.relative_to(site).as_posix())


def run_name(measured: Sequence[Measured]) -> str:
    """The same uploads, judged again after a kill, have the same name."""
    return hashlib.sha256("\n".join(f"{found.upload} {found.key}" for found in measured).encode()).hexdigest()[:12]


def tabulate(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row an upload; what is not known of one is missing there."""
    return pd.DataFrame([_row(found) for found in measured]).astype(
        {"bytes": float, "private_fields": float, "shorter_side_px": float, "longer_side_px": float}
        | dict.fromkeys(_QUALITIES, float)
    )


def _row(found: Measured) -> dict[str, Any]:
    row = {"upload": found.upload, "key": found.key, "reading": found.reading, "problem": "", "bytes": found.bytes}
    row |= dict.fromkeys(("private_fields", "shorter_side_px", "longer_side_px", *_QUALITIES))
    if found.measures is None:
        return row
    values = asdict(found.measures)
    private = [name for name in found.measures.private_exif.split(", ") if name]
    row |= {"problem": found.measures.problem, "private_fields": len(private)}
    if not found.measures.problem:
        sides = (found.measures.width, found.measures.height)
        row |= {"shorter_side_px": min(sides), "longer_side_px": max(sides)}
        row |= {name: values[name] for name in _QUALITIES}
    return row


def _context(site: Path) -> Any:
    """A context in memory, so that a page costs this batch and not the history; its site is the folder `site`."""
    # It would send statistics to its makers; it reads this when it is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
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
    return context


def _validate(context: Any, table: pd.DataFrame, ordered: Sequence[Rule], name: str, now: datetime) -> list[list[int]]:
    """The uploads that each rule refuses."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier

    asset = context.data_sources.add_pandas("ingest").add_dataframe_asset("measures")
    suite = gx.ExpectationSuite(name=SUITE, expectations=[_expectation(rule) for rule in ordered])
    definition = gx.ValidationDefinition(
        name=SUITE, data=asset.add_batch_definition_whole_dataframe("all"), suite=context.suites.add(suite)
    )
    found = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table},
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["upload"]},
        run_id=RunIdentifier(run_name=name, run_time=now),
    )
    by_rule = {result.expectation_config.meta["rule"]: result for result in found.results}
    return [_refused(by_rule[_name(rule)]) for rule in ordered]


def _name(rule: Rule) -> str:
    return f"{rule.reason} by {rule.column}"


def _expectation(rule: Rule) -> Any:
    from great_expectations import expectations as gxe

    meta = {"reason": rule.reason, "rule": _name(rule)}
    if rule.forbidden:
        return gxe.ExpectColumnValuesToNotBeInSet(column=rule.column, value_set=list(rule.forbidden), meta=meta)
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column, min_value=rule.lowest, max_value=rule.highest, meta=meta
    )


def _refused(result: Any) -> list[int]:
    for error in _exceptions(result.exception_info):
        # An expectation that could not be computed must not pass for one that held.
        raise HemaloopError(f"{result.expectation_config.meta['rule']} could not be judged: {error}")
    return [int(found["upload"]) for found in result.result.get("unexpected_index_list") or []]


def _exceptions(info: dict[str, Any]) -> Iterator[str]:
    for each in [info] if "raised_exception" in info else info.values():
        if each["raised_exception"]:
            yield each["exception_message"]
