"""Our own engine as the generator: an export, served while a part is built, and gone with it."""

from pathlib import Path

import psutil
import pytest

from tasks.base.errors import PermanentError
from tests.model.parrot import SHAPE, automaton_export
from tests.model.tiny_corpus import make_tiny_corpus
from tests.tasks.synthesis.synthesis_jobs import built, job, write_corpus

pytestmark = pytest.mark.slow


def servers() -> int:
    """How many servers of a model this process has."""
    return sum("model.serve" in child.cmdline() for child in psutil.Process().children(recursive=True))


def test_an_exported_model_writes_and_its_server_ends_with_the_part(tmp_path: Path) -> None:
    shape = SHAPE.__class__(**{**vars(SHAPE), "context": 1024})
    export = automaton_export(tmp_path / "export", make_tiny_corpus(tmp_path).tokenizer, {}, shape)
    store = write_corpus(tmp_path / "store", documents=4, parts=1)
    generator = {"export": str(export), "export_digest": "d" * 32, "max_tokens": 8}
    section = {"rephrase": {}, "generator": generator, "output": {"same_language": False, "min_chars": 1}}
    _, decisions, footer = built(store, job(store, "rephrased", section))
    assert len(decisions) == 4 and footer.counters["requests"] == 4
    assert all(decided["reasons"] == ["cut_off"] for decided in decisions.values()), "it never ends by itself"
    assert footer.counters["reply_tokens"] == 4 * 8
    assert servers() == 0


def test_an_export_that_is_none_is_told(tmp_path: Path) -> None:
    store = write_corpus(tmp_path, documents=4, parts=1)
    section = {"rephrase": {}, "generator": {"export": str(tmp_path / "nowhere")}}
    with pytest.raises(PermanentError, match="cannot be served"):
        built(store, job(store, "rephrased", section))
