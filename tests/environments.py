"""Environments of their own for programs that ours are compared with, since they pin other versions of what we need.

Notable: made on first use and kept under `.cache` in the repository, in a folder named by what was asked for; a file
that is written last says that it is complete, so one whose making was cut short is made again.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import xxhash

ROOT = Path(__file__).parent.parent
_BUILD_SECONDS = 900


def environment_with(name: str, requirements: Sequence[str], with_ours: bool = False) -> Path:
    """The Python of an environment that holds `requirements`, and with `with_ours` all that is installed here too.

    The test is skipped, with pip's last words, where it cannot be made: without a network, say.
    """
    digest = xxhash.xxh3_64_hexdigest("\n".join([sys.version, *requirements, *([sys.prefix] if with_ours else [])]))
    folder = ROOT / ".cache" / f"{name}-{digest}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    try:
        for command in ([sys.executable, "-m", "venv", folder], install):
            subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, timeout=_BUILD_SECONDS)
            if with_ours:
                (site,) = (folder / "lib").glob("python*/site-packages")
                (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        said = str(getattr(error, "stderr", None) or error).strip()
        pytest.skip(f"{name} cannot be installed: {said[-300:]}")
    complete.touch()
    return python


def output_of(python: Path, script: Path, *arguments: str, given: str, variables: Mapping[str, str]) -> str:
    """What a script prints under an environment's Python, with `given` on its standard input."""
    done = subprocess.run(
        [python, script, *arguments],
        input=given,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def requirements_in(file: Path) -> list[str]:
    """The lines of a requirements file, comments left out."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]
