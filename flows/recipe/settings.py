"""Where and how a run is carried out: everything that never changes what comes out.

Notable: none of these fields is part of a fingerprint. The same recipe on two workers and on two hundred gives the same
bytes.
"""

import os
from typing import Literal

from pydantic import Field

from tasks.addresses.secrets_in_addresses import NO_SECRET
from tasks.base.config import Config


class RunSettings(Config):
    """Where and how the run is carried out; nothing here changes what comes out."""

    store: str = Field(default="./store", json_schema_extra=NO_SECRET)
    """Folder or fsspec URL that holds everything the run makes."""
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    """Parts worked on at a time, each in a process of its own; by default as many as the machine has cores."""
    runner: Literal["threads", "dask", "ray"] = "threads"
    """What hands out the parts: threads here, or a Dask or Ray cluster; each part has a process of its own."""
    runner_address: str | None = None
    """The cluster: tcp://HOST:PORT of a Dask scheduler, ray://HOST:PORT; none starts `workers` workers here."""
    worker_memory_gib: float = Field(default=4.0, gt=0)
    """Resident memory at which a worker is ended, in GiB."""
    part_hours: float = Field(default=6.0, gt=0)
    """Wall-clock time at which a worker is ended, in hours for one part."""
    stall_seconds: float = Field(default=120.0, gt=0)
    """Processor time on one record, in seconds, at which a worker counts as hung: `extract.max_page_seconds` is noticed
    by Python code only, and a page can hold the extractor's C code for minutes."""
    scratch: str = "./.sluice-scratch"
    """Local folder for training when the store is not on a local disk."""
    processes: int = Field(default=1, ge=1)
    """Training processes on this machine: usually one a GPU."""
    accelerate_config: str | None = None
    """An accelerate config file (see infra/accelerate), which then decides the processes instead."""
    until: str | None = None
    """The last stage to build, with all that it is made from; the others are left for a later run. None: all."""
    when_busy: Literal["wait", "refuse"] = "wait"
    """Where another run on the store is building a dataset that this one needs: wait for it, or end with its name."""
    metrics_folder: str | None = None
    """Folder for a file of metrics in Prometheus' text format, such as that of node_exporter's textfile collector."""
