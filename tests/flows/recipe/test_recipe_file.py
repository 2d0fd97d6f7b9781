"""Where a recipe is read from, and what of a hostile one is refused."""

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flows.recipe.recipe_file import MAX_BYTES, RecipeError, read_recipe_values


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address at which a folder is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_recipe_is_a_shipped_name_a_path_or_a_url(tmp_path: Path, web: str) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine")
    assert read_recipe_values("demo")[1]["name"] == "demo"
    assert read_recipe_values(str(tmp_path / "mine.yaml"))[1] == {"name": "mine"}
    assert read_recipe_values(f"{web}/mine.yaml") == (f"{web}/mine.yaml", {"name": "mine"})


def test_a_recipe_lies_in_a_bucket(s3_bucket: str) -> None:
    import s3fs

    s3fs.S3FileSystem(skip_instance_cache=True).pipe(f"{s3_bucket}/mine.yaml", b"name: mine")
    assert read_recipe_values(f"{s3_bucket}/mine.yaml")[1] == {"name": "mine"}


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/recipe.yaml",
        "ftp://example.org/recipe.yaml",
        "simplecache::https://example.org/recipe.yaml",
        "https://example.org/recipe.yaml::file:///etc/passwd",
        "zip://recipe.yaml::s3://bucket/recipes.zip",
        "github://owner:name@main/recipe.yaml",
        "https://user:secret@example.org/recipe.yaml",
        "https:///recipe.yaml",
    ],
)
def test_other_protocols_and_chains_are_refused(url: str) -> None:
    with pytest.raises(RecipeError, match=r"is not a URL of https://, http://, s3:// without a user name"):
        read_recipe_values(url)


def test_a_path_in_a_recipe_of_the_web_is_relative_to_nothing(tmp_path: Path, web: str) -> None:
    """Not to the folder in which the command is typed: what would be read there is nothing of the recipe's author."""
    for name, text in {
        "words": "filter: {stop_words: lists/words.yaml}",
        "base": "source: {base: ../crawl}",
        "chat": "sft: {conversations: chat.jsonl}",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(f"name: x\n{text}")
        with pytest.raises(RecipeError, match=r"(stop_words|base|conversations): .* is relative to no folder"):
            read_recipe_values(f"{web}/{name}.yaml")
    (tmp_path / "full.yaml").write_text("name: x\nsource: {base: /data/cc}\nsft: {conversations: synthetic_web}")
    assert read_recipe_values(f"{web}/full.yaml")[1]["source"] == {"base": "/data/cc"}


@pytest.mark.parametrize("url", ["https://example.org/recipe", "https://example.org/a.yaml?key=1", "s3://b/a.yaml#b"])
def test_a_url_names_a_yaml_file(url: str) -> None:
    with pytest.raises(RecipeError, match=r"is not the URL of a \.yaml, without a query"):
        read_recipe_values(url)


def test_a_url_with_nothing_behind_it_is_named(web: str) -> None:
    with pytest.raises(RecipeError, match=r"The recipe http://.*/gone\.yaml cannot be read\..*no such file"):
        read_recipe_values(f"{web}/gone.yaml")


def test_a_huge_recipe_is_refused(tmp_path: Path, web: str) -> None:
    (tmp_path / "huge.yaml").write_bytes(b"name: x\n" + b"#" * MAX_BYTES)
    for name in (str(tmp_path / "huge.yaml"), f"{web}/huge.yaml"):
        with pytest.raises(RecipeError, match=r"1,048,576 bytes"):
            read_recipe_values(name)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml"):
        with pytest.raises(RecipeError, match="is not a file"):
            read_recipe_values(str(tmp_path / name))


BOMB = "\n".join(["a0: &a0 [1, 2]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)])
MERGE_BOMB = "\n".join(
    ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12)]
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "make more values of it than it may have"),
        (MERGE_BOMB, "make more values of it than it may have"),
        ("name: &a [*a]", "holds itself"),
        ("name: " + "[" * 5000, "nested too deeply"),
        ("name: " + "9" * 5000, "not valid YAML"),
        ("name: 2026-13-45", "not valid YAML"),
        ("name: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("name: x\n---\nname: y", "not valid YAML"),
        ("name: \x01", "not valid YAML"),
        ("- name", "must be a mapping of fields, not list"),
    ],
)
def test_hostile_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hostile.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe_values(str(tmp_path / "hostile.yaml"))


def test_an_alias_is_no_bomb(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("a: &a {x: [1]}\nb: *a\nc: {<<: *a, y: 2}")
    values = read_recipe_values(str(tmp_path / "mine.yaml"))[1]
    assert values == {"a": {"x": [1]}, "b": {"x": [1]}, "c": {"x": [1], "y": 2}}
