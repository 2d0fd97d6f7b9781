"""The storm of `make chaos`, in small: it ends, nothing differs, and it strikes as often as it was asked to."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.slow
def test_a_corpus_through_a_failing_mirror_withstands_three_strikes() -> None:
    command = [sys.executable, "-m", "tests.chaos.storm", "--strikes", "3", "--places", "mirror"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 strikes in 1 rounds, 0 faults" in done.stdout
    assert "equal bytes" in done.stdout
