"""What the tests of all three halves share: where the real crawl pages are, a Prefect server, and `sluice` itself."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock
from hypothesis import settings

# Read by libgomp when torch is loaded, which a test may do before it imports `model` and its own setting.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

# How long an example takes depends on what else the machine does, and says nothing of what must hold.
settings.register_profile("sluice", deadline=None)
settings.load_profile("sluice")

ROOT = Path(__file__).parent.parent
COMMON_CRAWL = ROOT.parent / "shared" / "commoncrawl"

TINY_RECIPE = """
name: tiny
synthetic_web: {towns: 4, pages_per_town: 12, warcs: 3, capital_extra_pages: 0, held_out_facts: 6, hidden_places: 1,
         mirrors: 4, near_duplicates: 4, foreign_pages: 6, poor_pages: 8, broken_responses: 9}
tokenizer: {vocab_size: 400}
tokens: {validation_fraction: 0.1}
packing: {context: 64}
duplicates: {partitions: 2}
pretrain:
  shape: {layers: 2, hidden_size: 32, heads: 2, kv_heads: 1, intermediate_size: 64}
  loop: {steps: 12, global_batch_size: 8, checkpoint_every: 4, evaluate_every: 6}
sft:
  conversations: synthetic_web
  loop: {steps: 6, global_batch_size: 4, checkpoint_every: 3}
evaluate: {questions: synthetic_web, max_new_tokens: 8, tasks: [completion, cloze], shots: [0, 1], task_items: 5}
"""
"""The whole way in seconds: a few dozen pages and a model of some thousand weights."""


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API address of a real Prefect server on loopback, shared by the whole session."""
    from flows.server.prefect_server import prefect_api

    with prefect_api(tmp_path_factory.mktemp("prefect")) as server:
        yield server.api_url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real S3-compatible server on loopback."""
    moto_server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = moto_server.ThreadedMotoServer(port=0, ip_address="127.0.0.1", verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store in a new bucket on that server; the environment holds how to reach it."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-").lower()[-60:].strip("-")
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
    return f"s3://{bucket}/store"


@pytest.fixture(scope="session")
def common_crawl() -> Path:
    """The folder of real pages in Common Crawl's layout; the test is skipped where it is absent."""
    if not COMMON_CRAWL.is_dir():
        pytest.skip("the real pages are not here")
    return COMMON_CRAWL


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe file for a run that takes seconds."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY_RECIPE)
    return path


@pytest.fixture(scope="session")
def finished_store(
    prefect_server: str, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    """The store of one undisturbed run of the tiny recipe, on two workers. Read only: copy it to change it.

    Of several processes that test, the first one makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "done").exists():
            run_sluice(prefect_server, "run", str(tiny_recipe), "--store", str(folder / "store"), "--workers", "2")
            (folder / "done").touch()
    return folder / "store"


Sluice = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sluice(prefect_server: str) -> Sluice:
    """The command line, as a user runs it, against the session's server."""
    return lambda *arguments, **keywords: run_sluice(prefect_server, *arguments, **keywords)


def api_client(prefect_server: str) -> httpx.Client:
    """A client of a Prefect server, whose password, if it has one, this process's environment holds."""
    from flows.server.loopback_server import ServerAddress

    return ServerAddress(prefect_server, prefect_server, os.environ.get("PREFECT_API_AUTH_STRING")).client()


def sluice_command(*arguments: str) -> list[str]:
    """The command line that starts `sluice` from this checkout."""
    return [sys.executable, "-m", "flows.cli", *arguments]


def sluice_environment(prefect_server: str) -> dict[str, str]:
    """An environment in which `sluice` finds this checkout and the session's server."""
    quiet = {"PREFECT_API_URL": prefect_server, "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def run_sluice(
    prefect_server: str, *arguments: str, expect: int | None = 0, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `sluice` to its end and check its exit code."""
    done = subprocess.run(
        sluice_command(*arguments),
        env=sluice_environment(prefect_server),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def stage_statuses(prefect_server: str, store: Path) -> dict[str, dict[str, Any]]:
    """`sluice status --json`, by stage."""
    done = run_sluice(prefect_server, "status", "--json", "--store", str(store))
    return {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}


def dataset_bytes(store: Path, *stages: str) -> dict[str, bytes]:
    """Every file of some stages' datasets and decisions, by path below the store."""
    found = {}
    for kind in ("datasets", "decisions"):
        for stage in stages:
            for file in sorted((store / kind / stage).rglob("*")):
                if file.is_file():
                    found[file.relative_to(store).as_posix()] = file.read_bytes()
    return found
