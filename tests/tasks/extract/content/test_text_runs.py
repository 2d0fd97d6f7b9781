"""Runs: where they begin and end, what is measured of them, and their texts' places in the tree."""

from lxml import html as lxml_html

from tasks.extract.content.class_words import CLASS_PATTERNS, class_mask
from tasks.extract.content.text_runs import TextRuns, read_runs
from tasks.extract.html.noscript import show_noscript


def runs_of(body: str) -> TextRuns:
    return read_runs(lxml_html.document_fromstring(f"<html><body>{body}</body></html>"))


def test_a_run_ends_where_a_line_does() -> None:
    runs = runs_of("Before<p>A <b>bold</b> <a href='/'>link</a></p>after<ul><li>one</li><li>two</li></ul>")
    assert runs.texts == ["Before", "A bold link", "after", "one", "two"]
    assert runs.link_chars == [0, 4, 0, 0, 0]
    assert runs.bold_chars == [0, 4, 0, 0, 0]


def test_what_no_reader_sees_is_in_no_run() -> None:
    assert runs_of("<script>x = 1</script><style>p {}</style><p>seen</p><select><option>1</option></select>").texts == [
        "seen"
    ]


def test_runs_without_a_letter_or_digit_are_left_out() -> None:
    assert runs_of("<p>|</p><p>»</p><p>a</p>").texts == ["a"]


def test_boxes_know_their_runs() -> None:
    runs = runs_of("<div><p>one</p><p>two</p></div><p>three</p>")
    spans = [runs.texts[first:end] for first, end in zip(runs.firsts, runs.ends, strict=True)]
    assert spans == [["one", "two", "three"], ["one", "two"], ["one"], ["two"], ["three"]]
    assert runs.parents == [-1, 0, 1, 1, 0]
    assert runs.groups[2] == runs.groups[3] != runs.groups[4]


def test_the_pieces_of_kept_runs_and_the_code_block_around_them() -> None:
    tree = lxml_html.document_fromstring(
        "<html><body><p>one <i>two</i> three</p><pre><code>x</code></pre></body></html>"
    )
    paragraph, code = tree.find(".//p"), tree.find(".//pre")
    runs = read_runs(tree)
    assert runs.pieces_of([True, False]) == {(paragraph, False), (paragraph[0], False), (paragraph[0], True)}
    assert runs.pieces_of([False, True]) == {(code[0], False), (code, False)}


def test_class_words_are_found_in_names_of_many_words() -> None:
    found = class_mask("siteNav post-comments mt-4")
    assert [word for place, word in enumerate(CLASS_PATTERNS) if found >> place & 1] == ["nav", "comment", "post"]
    assert class_mask("xk93 zz") == 0


def test_a_forum_that_hides_its_posts_in_noscript_shows_them() -> None:
    posts = "".join(f"<p>Post number {number}, written by a member of the guild of salt.</p>" for number in range(9))
    tree = lxml_html.document_fromstring(f"<html><body><p>Loading</p><noscript>{posts}</noscript></body></html>")
    assert read_runs(tree).texts == ["Loading"]
    show_noscript(tree)
    assert len(read_runs(tree).texts) == 10


def test_a_noscript_beside_a_page_stays_hidden() -> None:
    hidden = f"<noscript>{'<p>Please enable scripts.</p>' * 20}</noscript>"
    tree = lxml_html.document_fromstring(f"<html><body><p>{'The harbour froze over. ' * 40}</p>{hidden}</body></html>")
    show_noscript(tree)
    assert len(read_runs(tree).texts) == 1
