"""The keys of artifacts: the same from run to run, so that the UI shows the history of each."""

import re

from flows.store.run_record import RunRecord


def artifact_key(what: str, record: RunRecord) -> str:
    """Return e.g. `funnel-demo`: small letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", f"{what}-{record.recipe['name']}".lower()).strip("-")
