"""Trainings that are started elsewhere, and what is seen of them from here."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.model.tiny_corpus import TinyCorpus


def config_of(corpus: TinyCorpus, folder: Path, steps: int, **loop: Any) -> Path:
    """The config of a training, in its model's folder as a flow has it."""
    folder.mkdir()
    return corpus.pretrain_config(folder, steps, **loop).rename(folder / "config.json")


def trainers(config: Path) -> list[str]:
    """The processes that have the config on their command line."""
    done = subprocess.run(["pgrep", "-f", str(config)], capture_output=True, text=True, check=False)
    return done.stdout.split()


def wait_for(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
