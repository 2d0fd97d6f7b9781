"""Environments of their own for programs that ours are compared with, since they pin other versions of what we need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import xxhash

ROOT = Path(__file__).parent.parent


def environment_with(name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment that holds `requirements`, made on first use and kept under .cache/.

    The test is skipped, with pip's last words, where it cannot be made: without a network, say.
    """
    digest = xxhash.xxh3_64_hexdigest("\n".join([sys.version, *requirements]))
    folder = ROOT / ".cache" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(folder)
        pytest.skip(f"{name} cannot be installed: {done.stderr[-300:]}")
    (folder / "complete").touch()
    return python
