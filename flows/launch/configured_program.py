"""A program of the model half outside a run: its config written, the program run to its end."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.base.program import EXIT_DONE
from tasks.base.errors import PermanentError
from tasks.base.safe_path import safe_path


def run_configured(module: str, config: Path, values: Mapping[str, Any]) -> None:
    """Write a program's config and run it; raises `PermanentError` with the end of what it said where it fails."""
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(values, indent=1), encoding="utf-8")
    command = [sys.executable, "-m", module, str(config.absolute())]
    done = subprocess.run(command, env=os.environ | safe_path(), capture_output=True, text=True, check=False)
    if done.returncode != EXIT_DONE:
        said = done.stderr.strip()[-2000:].removeprefix("error: ")
        raise PermanentError(said or f"{module} {config} ended with code {done.returncode}.")
