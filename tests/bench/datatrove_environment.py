"""datatrove 0.10 in an environment of its own, beside ours: it pins an older trafilatura.

Notable: built once from the package registry, with exact versions, under `.cache` in the repository; a file that is
written last says that it is complete, and its folder is named by what was asked for. Where it cannot be built, what
needs it is skipped and says why. datatrove reaches for the network in its language and URL steps and in NLTK's
sentence model; none of these is used: its English words and sentences come from spaCy's blank pipeline.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

REQUIREMENTS = Path(__file__).with_name("datatrove-requirements.txt")
_CACHE = Path(__file__).parents[2] / ".cache"
_BUILD_SECONDS = 900
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "LOGURU_LEVEL": "WARNING"}


def datatrove_python() -> Path:
    """The interpreter that has datatrove; the test is skipped where it cannot be had."""
    asked_for = f"{sys.version_info.major}.{sys.version_info.minor}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    folder = _CACHE / f"datatrove-{hashlib.sha256(asked_for.encode()).hexdigest()[:12]}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
        for command in ([sys.executable, "-m", "venv", folder], install):
            try:
                subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=_BUILD_SECONDS)
            except (subprocess.SubprocessError, OSError) as error:
                said = str(getattr(error, "stderr", "") or error).strip().splitlines()
                pytest.skip(f"datatrove's environment cannot be built: {said[-1] if said else error}")
        complete.touch()
    return python


def run_in_datatrove(script: Path, rows: Iterable[Mapping[str, Any]], *arguments: str) -> Iterator[dict[str, Any]]:
    """What a script of this folder prints under datatrove's interpreter, for JSON lines on its standard input."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run(
        [datatrove_python(), script, *arguments],
        input=lines,
        env={**os.environ, **_OFFLINE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for line in done.stdout.splitlines():
        yield json.loads(line)
