"""The file that an evaluation leaves is there whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.evaluate import _write


def test_a_kill_leaves_the_result_that_was_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tmp_path / "evaluation" / "result.json"

    def killed(path: Path, text: str, **_: Any) -> None:
        path.write_bytes(text.encode()[:5])
        raise KeyboardInterrupt

    for there_before in (False, True):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path, "write_text", killed)
            _write(result, {"tasks": ["new"]})
        assert result.exists() == there_before
        _write(result, {"tasks": []})
        assert json.loads(result.read_text()) == {"tasks": []}
