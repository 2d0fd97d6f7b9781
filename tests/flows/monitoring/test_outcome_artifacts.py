"""Texts of strangers in an artifact, which the UI renders as Markdown."""

import base64

from markdown_it import MarkdownIt
from markupsafe import Markup

from flows.monitoring.outcome_artifacts import samples_in_markdown
from flows.report.image_url import image_url
from flows.report.readers.samples import RemovedFor, RemovedSample, TextSample

HOSTILE = """```
# A heading
<script>alert(1)</script> <img src="https://tracker.example/x.png" onerror="alert(1)">
````
![image](https://tracker.example/y.png) [link](javascript:alert(1)) https://page.example
~~~
\x1b[31mred \u202etxet"""


def test_a_hostile_text_is_shown_as_text() -> None:
    document = TextSample("id", "https://page.example/```\n# no", "en", HOSTILE, len(HOSTILE))
    removed = RemovedFor("filter", "rule", (RemovedSample(document, ("rule: words 3 < 50",)),))
    text = samples_in_markdown((document,), (removed,))
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)
    assert [token.type for token in tokens if token.type != "inline"] == [
        *("heading_open", "heading_close", "fence", "heading_open", "heading_close", "fence")
    ]
    assert [token.content for token in tokens if token.type == "inline"] == ["Kept", "Removed by filter"]
    fences = [token.content for token in tokens if token.type == "fence"]
    assert all("<script>" in fence and "```" in fence for fence in fences)
    assert "rule: words 3 < 50" in fences[1]
    assert "\x1b" not in text and "\u202e" not in text


def test_a_long_text_is_cut() -> None:
    document = TextSample("id", "https://page.example", "en", "word " * 300, 5000)
    assert "…" in samples_in_markdown((document,), ()) and len(samples_in_markdown((document,), ())) < 700


def test_a_plot_is_an_image_with_colours_of_its_own() -> None:
    plot = Markup('<svg class="plot" xmlns="http://www.w3.org/2000/svg"><path stroke="var(--kept)"/></svg>')
    kind, _, data = image_url(plot).partition(",")
    svg = base64.b64decode(data).decode()
    assert kind == "data:image/svg+xml;base64"
    assert "--kept: #" in svg and "background: white" in svg and svg.count("<svg") == 1
