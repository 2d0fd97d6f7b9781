"""Where a run's part tasks run: threads of the flow's process, or workers of a Dask or Ray cluster.

Notable: whichever it is, each part is built in a worker process with its limits (`flows.engine.part_tasks`), and gives
the same bytes. The workers report to the flow's Prefect server: without its address each would start one of its own.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner
from prefect.utilities.callables import get_call_parameters

from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError

Submit = Callable[..., PrefectFuture[Any]]
"""Takes a task and its arguments."""


def to_threads(task: Any, *arguments: Any) -> PrefectFuture[Any]:
    """Submit a task to the flow's own runner."""
    return cast(PrefectFuture[Any], task.submit(*arguments))


@contextmanager
def part_submission(settings: RunSettings) -> Iterator[Submit]:
    """Yield what submits part tasks of a flow run, for as long as the block lasts; a cluster starts at the first one.

    Raises `UsageError` where the runner's package is not installed.
    """
    if settings.runner == "threads":
        yield to_threads
        return
    if find_spec(f"prefect_{settings.runner}") is None:
        raise UsageError(f"settings.runner {settings.runner} needs a package: pip install 'sluice[{settings.runner}]'.")
    make = _dask if settings.runner == "dask" else _ray
    with ExitStack() as running:

        @cache
        def cluster() -> TaskRunner[Any]:
            return running.enter_context(make(settings))

        def to_cluster(task: Any, *arguments: Any) -> PrefectFuture[Any]:
            return cluster().submit(task, get_call_parameters(task.fn, arguments, {}))

        yield to_cluster


def _dask(settings: RunSettings) -> TaskRunner[Any]:
    from distributed import Security
    from prefect_dask.task_runners import DaskTaskRunner

    if settings.runner_address:
        return DaskTaskRunner(address=settings.runner_address)
    cluster = {"n_workers": settings.workers, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    security = Security.temporary()  # others on this machine have no key
    return DaskTaskRunner(
        cluster_kwargs=cluster | {"env": _environment(), "security": security}, client_kwargs={"security": security}
    )


def _ray(settings: RunSettings) -> TaskRunner[Any]:
    from prefect_ray import RayTaskRunner

    workers = {"runtime_env": {"env_vars": _environment()}, "log_to_driver": False}
    if settings.runner_address:
        return RayTaskRunner(address=settings.runner_address, init_kwargs=workers)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = {"num_cpus": settings.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    return RayTaskRunner(init_kwargs=workers | here)


def _environment() -> dict[str, str]:
    """Return the environment variables that make a worker report to this flow's server."""
    return get_current_settings().to_environment_variables(exclude_unset=True, include_secrets=True)
