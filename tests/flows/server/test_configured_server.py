"""Prefect, which takes a second to import, is asked for a server only where one may be configured."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ASK = "import sys; from flows.cli.verbs.running import _has_server; print(_has_server(), 'prefect' in sys.modules)"
URL = "http://127.0.0.1:1/api"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("none", "", "False False"),
        ("pyproject.toml", '[project]\nname = "prefect-user"\n', "False False"),
        (".env", "OTHER=1\n", "False False"),
        ("pyproject.toml", f'[tool.prefect.api]\nurl = "{URL}"\n', "True True"),
        (".env", f"PREFECT_API_URL={URL}\n", "True True"),
        ("prefect.toml", f'[api]\nurl = "{URL}"\n', "True True"),
        (".prefect/profiles.toml", f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{URL}"\n', "True True"),
        ("prefect.toml", "", "False True"),
    ],
)
def test_where_a_server_is_configured(tmp_path: Path, file: str, content: str, said: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = kept | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", ASK]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == said, done.stderr
