"""How one part is built, the same for all stages.

Notable: decisions are committed before rows, and the rows' footer is what says "done", so a kill between the two only
means that the part is built once more. A part that is already there with the right footer is left alone.
"""

from collections import Counter
from contextlib import ExitStack

import pyarrow as pa

from tasks.dataset.manifest import decisions_folder
from tasks.dataset.parts import PartFooter, PartWriter, part_name, read_footer
from tasks.dataset.stage import NoProgress, PartContext, PartJob, Progress
from tasks.dataset.store import Store
from tasks.registry import stage_of


def finished(store: Store, job: PartJob) -> PartFooter | None:
    """Return the footer of the job's part if it is there, made by the same stage from the same inputs."""
    footer = read_footer(store, job.path)
    return footer if footer and footer.matches(job.stage, job.part_fingerprint, job.inputs) else None


def run_part(job: PartJob, progress: Progress | None = None) -> PartFooter:
    """Build the part that `job` describes, unless it is done. Raises what the stage raises; then nothing is written."""
    store = Store(job.store)
    done = finished(store, job)
    if done:
        return done
    stage = stage_of(job)
    context = PartContext(job, store, progress or NoProgress())
    counters: Counter[str] = Counter()
    with ExitStack() as writers:

        def writer(path: str, schema: pa.Schema) -> PartWriter:
            return writers.enter_context(PartWriter(store, path, schema, job.stage, job.part_fingerprint, job.inputs))

        # The stack is left last in, first out: decisions appear before the rows that mark the part as done.
        rows = writer(job.path, stage.schema(stage.rows, context))
        decisions = None
        if stage.decisions:
            path = f"{decisions_folder(job.stage, job.fingerprint)}/{part_name(job.index)}"
            decisions = writer(path, stage.schema(stage.decisions, context))
        for output in stage.run(context):
            if output.rows is not None:
                rows.write(output.rows)
            if output.decisions is not None and decisions is not None:
                decisions.write(output.decisions)
            counters.update(output.counters)
        if decisions:
            decisions.commit(counters)
        footer = rows.commit(counters)
    return footer
