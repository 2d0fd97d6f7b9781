"""A file that must be whole is that, or as it was before."""

from pathlib import Path
from typing import Any

import pytest

from model.base.full_disk import written_whole


def test_a_kill_leaves_the_file_that_was_there_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = tmp_path / "evaluation" / "result.json"

    def killed(path: Path, text: str, **_: Any) -> None:
        path.write_bytes(text.encode()[:5])
        raise KeyboardInterrupt

    for there_before in (False, True):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt), written_whole(result) as file:
            patched.setattr(Path, "write_text", killed)
            file.write_text("a new one")
        assert result.exists() == there_before
        with written_whole(result) as file:
            file.write_text("whole")
        assert result.read_text() == "whole"
        assert [path.name for path in result.parent.iterdir()] == ["result.json"]
