"""Marks: they name the runs of a page, and a page that has their symbols itself gets none."""

import pytest
from lxml import html as lxml_html

from tasks.extract.rendering.marks import Marks, marks_in, without_marks


def marks_of(body: str) -> tuple[Marks, str]:
    """The marks of a page, and its text with them."""
    tree = lxml_html.document_fromstring(body)
    marks = Marks(tree, body)
    return marks, "".join(tree.itertext())


def test_each_run_and_each_line_of_it_has_a_mark() -> None:
    _, text = marks_of("<p>The <b>sea</b> rises.<br>It falls.</p><ul><li>one</li></ul><pre>a\nb</pre>")
    assert marks_in(text) == [0, 1, 2, 3]
    assert without_marks(text) == "The sea rises.It falls.onea\nb"


@pytest.mark.parametrize("own", ["\U0001d800\U0001d900", "\U0001d9ff", "&#x1D800;&#x1d900;", "&#120832;", "&#0121343;"])
def test_a_page_with_symbols_of_marks_gets_none(own: str) -> None:
    marks, text = marks_of(f"<p>The sea {own} rises.</p>")
    assert marks.places == []
    assert text == lxml_html.document_fromstring(f"<p>The sea {own} rises.</p>").text_content()


@pytest.mark.parametrize("other", ["\U0001f30a", "\U0001d7ff", "\ud800", "&#127754;", "é"])
def test_other_characters_do_not_keep_marks_away(other: str) -> None:
    body = f"<p>The sea {other} rises.</p>"
    tree = lxml_html.document_fromstring("<p>The sea rises.</p>")
    assert len(Marks(tree, body).places) == 1
