"""The page in headless Chromium: conversations, stop, settings, sources, dark mode, a phone, nothing from outside."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model.data.chat_format import load_chat_format
from model.serving.settings import ServerSettings
from model.span_index.search import Page as CrawledPage
from model.span_index.search import tokenizer_digest
from model.span_index.writer import write_span_index
from tests.model.serving.running_server import Running, running, slowed

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

HOSTILE = """# <img src=x onerror=alert(1)> **bold**
- [link](javascript:alert(1)) and <script>alert(1)</script>
- [good](https://e.example/a) `code <b>`

| a | b |
|---|---|
| 1 | <iframe src=//e.example> |
"""


@pytest.fixture(scope="module")
def indexed(babbling: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose model takes 10 ms a step, with an index of one page: the answer to "Hi" at temperature 0."""
    folder = tmp_path_factory.mktemp("page") / "index"
    chat = load_chat_format(babbling / "tokenizer.json")
    with running(babbling, ServerSettings(port=0)) as plain:
        answer = _answer_to_hi(plain)
    page = CrawledPage("W:1", "https://e.example/kinno", "The <b>Kinno</b>")
    write_span_index(
        folder,
        [(page, np.asarray(chat.encode(answer), dtype=np.uint32))],
        vocab_size=400,
        boundary=chat.end_of_text,
        tokenizer=tokenizer_digest(babbling / "tokenizer.json"),
    )
    with running(babbling, ServerSettings(port=0, span_index=folder)) as server, slowed(server):
        yield server


def _answer_to_hi(server: Running) -> str:
    asked = {"model": "sluice", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 48}
    answer = httpx.post(f"{server.address}/v1/chat/completions", json=asked, timeout=60)
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser of all tests."""
    with playwright.sync_playwright() as started:
        one = started.chromium.launch(
            executable_path=CHROMIUM and shutil.which(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield one
        one.close()


@pytest.fixture
def context(browser: Any, indexed: Running) -> Iterator[Any]:
    """A browser that knows nothing yet; at the end nothing was asked of another server and nothing went wrong."""
    one = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=indexed.address)
    one.set_default_timeout(60_000)
    asked: list[str] = []
    wrong: list[str] = []
    one.on("request", lambda request: asked.append(request.url))
    one.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    one.on("weberror", lambda error: wrong.append(str(error.error)))
    yield one
    one.close()
    assert all(url.startswith((indexed.address, "data:")) for url in asked) and not wrong, (asked, wrong)


@pytest.fixture
def page(context: Any) -> Any:
    """The page, just opened, with short answers that are always the same."""
    one = opened(context)
    settings = "{ temperature: 0, max_tokens: 48 }"
    one.evaluate(f"() => localStorage.setItem('sluice.settings', JSON.stringify({settings}))")
    one.reload()
    return one


def opened(context: Any) -> Any:
    """Another tab with the page."""
    one = context.new_page()
    one.goto("/")
    return one


def ask(page: Any, text: str, wait: bool = True) -> None:
    """Send a message, and wait for the whole answer."""
    page.fill("#message", text)
    page.press("#message", "Enter")
    page.wait_for_selector("#stop", state="visible")
    if wait:
        page.wait_for_selector("#send", state="visible")


def until(page: Any, expression: str) -> None:
    """Wait until JavaScript is true; Playwright's own wait evaluates in the page, whose policy forbids it."""
    give_up = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < give_up, expression
        page.wait_for_timeout(50)


def test_a_conversation_with_its_sources_is_kept_and_deleted(page: Any, indexed: Running) -> None:
    ask(page, "Hi")
    answer = page.locator(".turn.assistant")
    assert "48 tokens" in answer.locator(".under").inner_text() and "cut at the longest answer" in answer.inner_text()
    source = answer.locator(".source")
    source.wait_for(state="attached")
    answer.locator("summary").click()
    assert source.locator("a").get_attribute("href") == "https://e.example/kinno"
    assert source.locator("a").inner_text() == "The <b>Kinno</b>" and source.locator("mark").count()
    ask(page, "And then?")
    page.reload()
    page.locator("#list .open", has_text="Hi").click()
    assert page.locator(".turn.user").all_inner_texts() == ["Hi", "And then?"]
    assert page.locator(".turn.assistant .source").count() >= 1 and page.title() == "Hi · Sluice"
    page.get_by_label("Delete “Hi”").click()
    assert not page.locator("#list li").count() and page.locator("#empty").is_visible()


def test_an_answer_can_be_stopped_and_asked_for_again(page: Any) -> None:
    page.evaluate("settings.max_tokens = 400")
    ask(page, "Hi", wait=False)
    until(page, "document.querySelector('.turn.assistant .text').textContent.length > 5")
    page.click("#stop")
    page.wait_for_selector("#send", state="visible")
    stopped = page.locator(".turn.assistant .text").inner_text()
    page.evaluate("settings.max_tokens = 48")
    page.get_by_label("Answer again").click()
    page.wait_for_selector("text=48 tokens")
    assert page.locator(".turn.assistant").count() == 1
    assert page.locator(".turn.assistant .text").inner_text()[:4] == stopped[:4], "the same model, from the beginning"


def test_an_answer_that_a_closed_tab_left_can_be_asked_for_again(page: Any, context: Any) -> None:
    page.evaluate("settings.max_tokens = 400")
    ask(page, "Hi", wait=False)
    until(page, "document.querySelector('.turn.assistant .text').textContent.length > 5")
    page.reload()
    page.locator("#list .open").click()
    assert "broke off before the answer ended" in page.locator(".failure").inner_text()
    assert page.locator(".turn.assistant .text").inner_text() and not page.locator(".writing").count()
    page.evaluate("settings.max_tokens = 16")
    page.get_by_text("Try again").click()
    page.wait_for_selector("text=16 tokens")
    assert not page.locator(".failure").count()
    page.evaluate("current.messages.at(-1).writing = true, save()")  # as a crash leaves it
    page.reload()
    page.locator("#list .open").click()
    assert page.locator(".failure").count() and not page.locator(".writing").count()


def test_two_tabs_keep_each_others_conversations(page: Any, context: Any) -> None:
    other = opened(context)
    ask(page, "From the first tab")
    other.wait_for_selector("#list >> text=From the first tab")
    ask(other, "From the second tab")
    page.wait_for_selector("#list >> text=From the second tab")
    page.reload()
    assert sorted(page.locator("#list .open").all_inner_texts()) == ["From the first tab", "From the second tab"]


def test_system_prompt_sliders_and_seed_are_sent(page: Any) -> None:
    page.click("#sliders")
    page.fill("#system", "Be brief.")
    for name, value in {"temperature": "1.5", "top_p": "0.5", "top_k": "7", "min_p": "0.1", "seed": "9"}.items():
        page.fill(f"#{name}", value)
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "Hi")
    asked = sent.value.post_data_json
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    chosen = {"temperature": 1.5, "top_p": 0.5, "top_k": 7, "min_p": 0.1, "seed": 9, "max_tokens": 48}
    assert asked.items() >= chosen.items()


def test_a_conversation_that_no_longer_fits_says_so(page: Any, indexed: Running) -> None:
    for _ in range(4):
        ask(page, "wordy " * 25)
    assert f"context of {indexed.service.model.context} tokens" in page.locator(".note").last.inner_text()


def test_dark_follows_the_system_and_the_choice(page: Any) -> None:
    brightness = "Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g))"
    until(page, f"{brightness} > 230")
    page.emulate_media(color_scheme="dark")
    until(page, f"{brightness} < 50")
    page.click("#sliders")
    page.get_by_role("button", name="Light").click()
    page.reload()
    until(page, f"{brightness} > 230")


def test_a_phone_shows_all_without_scrolling_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    ask(page, "a" * 200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not page.locator("#side").is_visible()
    page.click("#menu")
    assert page.locator("#side").is_visible() and page.locator("#list li").count() == 1
    page.keyboard.press("Escape")
    assert not page.locator("#side").is_visible()
    for name in ("#menu", "#sliders", "#send"):
        box = page.locator(name).bounding_box()
        assert box["width"] >= 44 and box["height"] >= 44 and 0 <= box["x"] <= 360 - 44, name


def test_what_a_model_writes_is_never_html(page: Any) -> None:
    page.evaluate("(text) => byId('turns').append(...markdown(text))", HOSTILE)
    turns = page.locator("#turns")
    assert turns.locator("script, img, iframe").count() == 0
    assert turns.locator("a").evaluate_all("all => all.map((one) => one.href)") == ["https://e.example/a"]
    assert turns.locator("h3 strong").inner_text() == "bold" and turns.locator("li code").inner_text() == "code <b>"
    assert turns.locator("td").all_inner_texts() == ["1", "<iframe src=//e.example>"]


def test_a_key_is_asked_for_and_kept_for_the_tab(browser: Any, babbling: Path) -> None:
    with running(babbling, ServerSettings(port=0, api_key="sesame")) as server:
        page = browser.new_page(base_url=server.address)
        page.goto("/")
        page.fill("#key", "sesame")
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector("#model", state="visible")
        page.reload()
        page.wait_for_selector("#model", state="visible")
        assert not page.locator("#key-dialog[open]").count()
        assert page.evaluate("localStorage.getItem('sluice.key')") is None
        page.close()
