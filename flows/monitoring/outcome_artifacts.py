"""What a run came to, as artifacts in Prefect's UI: the funnel and the reasons as tables, and where the report is.

Notable: an artifact's key stays the same from run to run, so the UI shows the history of each.
"""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.monitoring.artifact_key import artifact_key
from flows.report.readers.funnel import Funnel, read_funnel
from flows.store.missing import Missing, attempt
from flows.store.run_record import RunRecord
from tasks.dataset.store import Store


def publish_outcome(store: Store, record: RunRecord) -> None:
    """Make the artifacts of a run that is over. Must be called inside its flow."""
    create_markdown_artifact(
        f"`{store.location(record.report)}`, {record.state}",
        artifact_key("report", record),
        "The run's report: one HTML page.",
    )
    funnel = attempt("funnel", read_funnel, store, record)
    if isinstance(funnel, Missing) or not funnel.stages:
        return
    create_table_artifact(_stages(funnel), artifact_key("funnel", record), f"Records of {record.crawl} by stage.")
    create_table_artifact(
        _reasons(funnel), artifact_key("reasons", record), f"Why records of {record.crawl} were removed."
    )


def _stages(funnel: Funnel) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = [
        {"stage": stage.stage, "read": stage.read, "kept": stage.kept, "removed": stage.removed}
        for stage in funnel.stages
    ]
    if tokens := funnel.tokens:
        rows.append({"stage": "tokens", "read": tokens.documents, "kept": tokens.documents, "tokens": tokens.tokens})
    return rows


def _reasons(funnel: Funnel) -> list[dict[str, str | int]]:
    return [
        {"stage": stage.stage, "reason": reason.reason, "records": reason.count}
        for stage in funnel.stages
        for reason in stage.reasons
    ]
