"""The prepared tree: what a reader sees stays, what no reader sees goes, and other pages do not change."""

import pytest

from tasks.extract.config import ExtractionConfig
from tasks.extract.html.preparation import prepare
from tasks.extract.main_text import parse_page
from tests.golden.make_filter_vectors import LINES
from tests.page_texts import text_of
from tests.tasks.extract.test_main_text import page

URL = "https://tolvane.example/"
PARAGRAPHS = [f"<p>{line}</p>" for line in LINES]


def text_with(body: str) -> str:
    """Return the text of a page with `body` among its paragraphs."""
    return text_of(page("".join((*PARAGRAPHS[:2], body, *PARAGRAPHS[2:]))), URL)


def line_of(body: str) -> str:
    """Return the one line that `body` adds to the text."""
    added = [line for line in text_with(body).split("\n") if line not in LINES]
    assert len(added) == 1
    return added[0]


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم کتاب‌های قدیمی را بخوانم و به بازار می‌روم.",
        "ශ්‍රී ලංකාව දූපතක් වන අතර එහි ඉතිහාසය ඉතා පැරණි ය.",
        "ᠮᠣᠩᠭᠣᠯ ᠤᠯᠤᠰ\u180eᠠ ᠪᠠᠷ ᠤᠯᠤᠰ ᠤᠨ ᠬᠡᠯᠡ ᠪᠢᠴᠢᠭ",
        "قُلْ هُوَ اللَّهُ أَحَدٌ \u06dd اللَّهُ الصَّمَدُ \u06dd لَمْ يَلِدْ وَلَمْ يُولَدْ",
        "The family 👨‍👩‍👧‍👦 of the keeper waved the flag 🏴󠁧󠁢󠁳󠁣󠁴󠁿 at the boats.",
    ],
)
def test_joiners_are_spelling(text: str) -> None:
    assert line_of(f"<p>{text}</p>") == text
    assert line_of(f"<p>{text.replace('‌', '&zwnj;').replace('‍', '&#x200D;')}</p>") == text


def test_other_invisible_characters_still_go() -> None:
    assert (
        line_of("<p>The key\u00adstone of the gate\u200b was laid by hand.</p>")
        == "The keystone of the gate was laid by hand."
    )


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("10<sup>6</sup> barrels", "10⁶ barrels"),
        ("10<sup><b>-6</b></sup> metres", "10⁻⁶ metres"),
        ("10<sup>&minus;9</sup> metres", "10⁻⁹ metres"),
        ("x<sup>n+1</sup> barrels", "x^(n+1) barrels"),
        ("2<sup>n</sup> barrels", "2^n barrels"),
        ("12 m<sup>2</sup> of cloth", "12 m² of cloth"),
        ("H<sub>2</sub>O in the jug", "H₂O in the jug"),
        ("log<sub>10</sub>8 barrels", "log₁₀8 barrels"),
        ("the 4<sup>th</sup> barrel", "the 4th barrel"),
        ("M<sup>me</sup> Tolvane", "Mme Tolvane"),
        ("the harbour<sup>3</sup> at night", "the harbour³ at night"),
        ("10<sup>–3</sup> metres", "10⁻³ metres"),
        ("x<sup>2n</sup> barrels", "x^(2n) barrels"),
        ("2<sup>2<sup>3</sup></sup> barrels", "2^2³ barrels"),
        ("e<sup>iπ</sup> barrels", "e^iπ barrels"),
        ("the 1<sup>η</sup> barrel", "the 1η barrel"),
        ("a<sub>ij</sub> barrels", "a_ij barrels"),
        ("x<sub>max</sub> barrels", "x_max barrels"),
        ("the harbour<sup>1,2</sup> at night", "the harbour¹,² at night"),
        ("the harbour.<sup>a</sup> At night", "the harbour.^a At night"),
        ("10<span style='vertical-align: super'>6</span> barrels", "10⁶ barrels"),
        ("the harbour<sup>[3]</sup> at night", "the harbour[3] at night"),
    ],
)
def test_what_stands_high_or_low_does_not_run_together_with_its_base(markup: str, text: str) -> None:
    assert line_of(f"<p>The clerk wrote {markup} into the book of the town.</p>").startswith(f"The clerk wrote {text}")


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<math><mi>h</mi><mo>=</mo><mn>3</mn><mi>t</mi></math>", r"\(h=3t\)"),
        ("<math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>", r"\(\frac{a}{b+1}\)"),
        ("<math><msup><mi>x</mi><mn>2</mn></msup><mo>+</mo><msub><mi>y</mi><mi>i</mi></msub></math>", r"\(x^2+y_i\)"),
        ("<math><msqrt><mn>2</mn></msqrt></math>", r"\(\sqrt{2}\)"),
        ('<script type="math/tex">h=5t</script>', r"\(h=5t\)"),
        ('<span class="MathJax_Preview">h</span><script type="math/tex; x">h=5t</script>', r"\(h=5t\)"),
        ('<math alttext="h=7t"><mi>h</mi></math>', r"\(h=7t\)"),
        (
            '<span class="mwe-math-element"><span class="mwe-math-mathml-inline" style="display: none;">'
            '<math alttext="{\\displaystyle h=9t}"><mi>h</mi></math></span>'
            '<img class="mwe-math-fallback-image-inline" alt="{\\displaystyle h=9t}"></span>',
            r"\(h=9t\)",
        ),
        ('<img class="latex" alt="h=8t" src="x.png">', r"\(h=8t\)"),
        (
            '<span class="katex"><span class="katex-mathml"><math><semantics><mi>h</mi>'
            '<annotation encoding="application/x-tex">h=6t</annotation></semantics></math></span>'
            '<span class="katex-html" aria-hidden="true">h=6t</span></span>',
            r"\(h=6t\)",
        ),
        ('<script type="math/asciimath">h=4t</script>', "h=4t"),
        ('<script type="math/mml"><math><mi>h</mi><mo>=</mo><mn>2</mn></math></script>', r"\(h=2\)"),
        ("<math><msup><mi>x</mi><mi>n</mi></msup><mi>y</mi></math>", r"\(x^ny\)"),
        ("<math><mi>h</mi> unclosed</math>", r"\(h unclosed\)"),
    ],
)
def test_a_formula_stays_in_its_sentence(markup: str, text: str) -> None:
    line = line_of(f"<p>The height of the tide is {markup} in the first hour of the night.</p>")
    assert line == f"The height of the tide is {text} in the first hour of the night."


def test_what_is_never_shown_is_no_text() -> None:
    unseen = (
        "<template><p>Words of a template that no visitor sees.</p></template><p hidden>Secret words of the page.</p>"
    )
    assert text_with(f"{unseen}<div hidden='hidden'><p>More secret words that nobody reads.</p></div>") == "\n".join(
        LINES
    )
    sort_key = "<span style='color: red; display : none'>20240101</span>"
    assert (
        line_of(f"<p>The ferry to the islands {sort_key}left at noon.</p>") == "The ferry to the islands left at noon."
    )
    shown = line_of('<p hidden="until-found">Words that a search on the page opens for the visitor.</p>')
    assert shown.startswith("Words that a search")


def test_a_hidden_panel_with_a_tab_is_read() -> None:
    assert "on the other tab" in text_with(
        '<div role="tabpanel" hidden><p>Words on the other tab, one click away.</p></div>'
    )


def test_a_page_within_a_button_is_read() -> None:
    html = f"<html><body><header><button><div>Menu</div><article>{''.join(PARAGRAPHS)}</article></button></body></html>"
    assert text_of(html, URL, ExtractionConfig(extractor="auto")).endswith(LINES[-1])
    assert text_with("<button>Subscribe to the letter of the harbour office</button>") == "\n".join(LINES)


def test_what_a_page_streams_late_stands_in_its_place() -> None:
    html = page(f"{PARAGRAPHS[0]}<template id='B:0'></template>{PARAGRAPHS[3]}").replace(
        "</body>",
        f'<div hidden id="S:0">{PARAGRAPHS[1]}<template id="P:1"></template></div>'
        f'<div hidden id="S:1">{PARAGRAPHS[2]}</div></body>',
    )
    assert text_of(html, URL) == "\n".join(LINES[:4])


@pytest.mark.parametrize(
    "part",
    ['<div hidden id="S:0"><template id="B:0"></template></div>', '<div hidden id="S:0"><b>unplaced</b></div>'],
)
def test_a_late_part_without_a_place_outside_stays_hidden(part: str) -> None:
    assert text_with(part) == "\n".join(LINES)


def test_a_page_that_a_script_shows_is_read_though_it_is_hidden() -> None:
    html = page(f"<div hidden>{''.join(PARAGRAPHS)}</div>")
    assert text_of(html, URL) == "\n".join(LINES)


def test_quotations_have_their_marks_on_one_line() -> None:
    said = "<p>The keeper said <q>the lamp <q>is</q> lit</q> and went home to his family.</p>"
    assert line_of(said) == "The keeper said “the lamp ‘is’ lit” and went home to his family."


@pytest.mark.parametrize(
    ("language", "quoted"),
    [
        ("de", "„hell ‚und‘ klar“"),
        ("fr-CA", "«hell “und” klar»"),
        ("ja", "「hell 『und』 klar」"),
        ("xx", "“hell ‘und’ klar”"),
    ],
)
def test_quotation_marks_are_those_of_the_language(language: str, quoted: str) -> None:
    said = f"<div lang={language}><p>The keeper of the lamp said <q>hell <q>und</q> klar</q> to his wife.</p></div>"
    assert line_of(said) == f"The keeper of the lamp said {quoted} to his wife."


def test_math_that_never_closes_leaves_the_paragraphs_after_it() -> None:
    assert text_of(page(f"{PARAGRAPHS[0]}<math><mi>h</mi>{''.join(PARAGRAPHS[1:])}"), URL).split("\n")[-1] == LINES[-1]


def test_a_line_break_between_chinese_or_japanese_characters_is_no_space() -> None:
    assert line_of("<p>港町は北の海岸にあり、\n  川が海に注ぐところに\n古い市場があります。</p>") == (
        "港町は北の海岸にあり、川が海に注ぐところに古い市場があります。"
    )
    assert line_of("<p>항구 도시는\n북쪽 해안에 있고 的</p>") == "항구 도시는 북쪽 해안에 있고 的"
    assert line_of("<p>港町は北の海岸\nTolvane の町にあり</p>") == "港町は北の海岸 Tolvane の町にあり"


def test_a_line_break_beside_tags_is_none_either_between_such_characters() -> None:
    assert line_of("<p>港町は<b>北の</b>\n 海岸に<i>あり\n</i>、川が\n<a href=x>海</a>に注ぐところ。</p>") == (
        "港町は北の海岸にあり、川が海に注ぐところ。"
    )
    assert line_of("<p>&#28207;&#30010;&#12399;\n&#21271;&#12398;&#28023;&#23736;&#12290;</p>") == "港町は北の海岸。"
    assert "港町は\n北の海岸" in text_with("<pre><b>港町は\n北の海岸</b></pre>")


def test_lists_in_cells_keep_their_items() -> None:
    rows = "".join(f"<tr><td>{day}</td><td><ul><li>{hours}</li></ul></td></tr>" for day, hours in HOURS.items())
    text = text_with(f"<table><tr><th>Day</th><th>Hours</th></tr>{rows}</table>")
    assert "| Mon | 10:00 to 20:00 |" in text
    assert "closed all day" in text


HOURS = {"Mon": "10:00 to 20:00", "Tue": "closed all day"}


def test_lists_of_links_in_cells_keep_their_items() -> None:
    links = "<ul><li><a href=/1>north quay</a></li><li><a href=/2>south quay</a></li></ul>"
    text = text_with(f"<table><tr><th>Town</th><th>Quays</th></tr><tr><td>Tolvane</td><td>{links}</td></tr></table>")
    assert "| Tolvane | north quay south quay |" in text


def test_a_short_list_of_words_with_links_in_them_stays() -> None:
    items = ["Tolvane, the old harbour of the north", "Kinno, a village of millers"]
    marked = "".join(
        f"<li><a href=/{i}>{item.split(',')[0]}</a>{item[item.index(',') :]}</li>" for i, item in enumerate(items)
    )
    assert text_with(f"<ul>{marked}</ul>").split("\n")[2:4] == [f"- {item}" for item in items]
    menu = "<ul><li><a href=/1>Home</a> 3 new</li><li><a href=/2>News</a> 5 new</li></ul>"
    assert "Home" not in text_with(menu)


@pytest.mark.parametrize("around", ["{}", "<div>{}</div>", "<center><div>{}</div></center>"])
def test_lists_of_a_page_without_landmarks_stay(around: str) -> None:
    nested = "<ol><li>It is grey.</li></ol>"
    items = f"<ul><li>The first stone is the miller's.{nested}</li><li>The second one is the widow's.</li></ul>"
    body = "".join((*PARAGRAPHS[:2], items, *PARAGRAPHS[2:]))
    lines = text_of(f"<html><body>{around.format(body)}</body></html>", URL).split("\n")
    listed = ["- The first stone is the miller's.", "1. It is grey.", "- The second one is the widow's."]
    assert lines == [*LINES[:2], *listed, *LINES[2:]]


@pytest.mark.parametrize("tag", ["ul", "ol"])
def test_a_list_of_links_that_a_sentence_announces_stays(tag: str) -> None:
    links = "".join(f'<li><a href="/{i}">{name} guide</a></li>' for i, name in enumerate(("Old", "New", "Coastal")))
    for announcement in ("<p>The guides are kept in three languages:</p>", "The guides are kept in three languages:"):
        text = text_with(f"<div>{announcement}<{tag}>{links}</{tag}></div>")
        signs = ["1.", "2.", "3."] if tag == "ol" else ["-"] * 3
        assert (
            "\n".join(f"{sign} {name} guide" for sign, name in zip(signs, ("Old", "New", "Coastal"), strict=True))
            in text
        )


def test_a_table_that_lays_out_the_page_is_none() -> None:
    article = "<br><br>".join(LINES)
    menu = "<td width=150><a href=/>Home</a><br><a href=/n>News</a></td>"
    html = (
        f"<html><body><table><tr>{menu}<td><table><tr><td>{article}</td></tr></table></td></tr></table></body></html>"
    )
    assert text_of(html, URL).split("\n") == list(LINES)


@pytest.mark.parametrize(("layout_tables", "tables"), [(True, 0), (False, 2)])
def test_layout_tables_stay_tables_where_no_second_extractor_is_compared(layout_tables: bool, tables: int) -> None:
    html = f"<table><tr><td>News</td><td><table><tr><td>{LINES[0]}</td></tr></table></td></tr></table>"
    tree = parse_page(html, ExtractionConfig())
    assert tree is not None
    prepare(tree, html, layout_tables)
    assert len(tree.findall(".//table")) == tables


def test_a_table_of_data_stays_one() -> None:
    cells = "<table><tr><td>Depth</td><td>forty fathoms</td></tr><tr><td>Width</td><td>two miles</td></tr></table>"
    assert "| Depth | forty fathoms |" in text_with(cells)


@pytest.mark.parametrize("tag", ["font", "b", "div", "span", "h2", "dd", "ul"])
@pytest.mark.parametrize("depth", [300, 5000])
def test_text_below_any_depth_is_read(tag: str, depth: int) -> None:
    body = PARAGRAPHS[0] + f"<{tag} class=x>" * depth + "".join(PARAGRAPHS[1:])
    assert text_of(page(body), URL, ExtractionConfig()).split("\n")[: len(LINES)] == list(LINES)
