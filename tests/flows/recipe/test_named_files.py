"""A recipe's paths are relative to its file, are there before a run starts, and lead to one place, openly."""

from pathlib import Path

import pytest

from flows.recipe.loading import load_recipe
from flows.recipe.named_files import anchored, inward_address, named_paths, require_named_files
from flows.recipe.recipe_file import RecipeError
from flows.recipe.settings import RunSettings
from tasks.base.errors import UsageError

RECIPE = """
name: moved
source: {base: crawl, crawl: CC-MAIN-2026-46}
extract: {urls: {blocked_domains: ["builtin:url-blocked-domains.txt", lists/domains.txt]}}
classifiers:
  essays: {positive: [good.jsonl, "https://host.example/good.jsonl"], negative: [bad.jsonl], min_score: 0.5}
mixture: {others: {older: {store: ../older}}}
pretrain: {shape: {depth: 2}, loop: {steps: 2, global_batch_size: 1}}
sft: {conversations: chat.jsonl, loop: {steps: 2, global_batch_size: 1}}
evaluate: {questions: questions.jsonl}
"""
FILES = ("lists/domains.txt", "good.jsonl", "bad.jsonl", "chat.jsonl", "questions.jsonl")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipes"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "crawl").mkdir()
    (tmp_path / "older").mkdir()
    (folder / "moved.yaml").write_text(RECIPE)
    return folder / "moved.yaml"


def test_paths_are_relative_to_the_recipe(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name in ((tmp_path, str(recipe)), (recipe.parent, "moved.yaml"), (tmp_path, "recipes/moved.yaml")):
        monkeypatch.chdir(folder)
        found = load_recipe(name)
        assert found.source.base == str(recipe.parent / "crawl")
        builtin, own = found.extract.urls.blocked_domains
        assert (builtin, own) == ("builtin:url-blocked-domains.txt", str(recipe.parent / "lists/domains.txt"))
        assert found.classifiers["essays"].positive == (
            str(recipe.parent / "good.jsonl"),
            "https://host.example/good.jsonl",
        )
        assert found.sft and found.sft.conversations == str(recipe.parent / "chat.jsonl")
        assert found.mixture and Path(str(found.mixture.others["older"].store)).resolve() == tmp_path / "older"
        require_named_files(found, RunSettings(store="store"))


def test_a_path_of_the_command_line_is_relative_to_the_folder_it_is_typed_in(recipe: Path) -> None:
    found = load_recipe(str(recipe), ["sft.conversations=mine.jsonl", "source.base=."])
    assert found.sft and (found.sft.conversations, found.source.base) == ("mine.jsonl", ".")


def test_words_that_are_no_paths_stay(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: r\npretrain: {shape: {depth: 2}, loop: {steps: 2, global_batch_size: 1}}\n"
        "sft: {conversations: starter, loop: {steps: 2, global_batch_size: 1}}\n"
    )
    found = load_recipe(str(tmp_path / "r.yaml"))
    assert found.sft and found.sft.conversations == "starter"
    assert found.source.base == "https://data.commoncrawl.org"


def test_all_that_is_missing_is_said_at_once(recipe: Path) -> None:
    for name in ("lists/domains.txt", "bad.jsonl", "questions.jsonl"):
        (recipe.parent / name).unlink()
    (recipe.parent / "crawl").rmdir()
    with pytest.raises(UsageError) as refusal:
        require_named_files(load_recipe(str(recipe)), RunSettings(store="store"))
    assert str(refusal.value).splitlines() == [
        f"source.base: there is no file or folder {recipe.parent}/crawl.",
        f"extract.urls.blocked_domains.1: there is no file {recipe.parent}/lists/domains.txt.",
        f"classifiers.essays.negative.0: there is no file {recipe.parent}/bad.jsonl.",
        f"evaluate.questions: there is no file {recipe.parent}/questions.jsonl.",
    ]


def test_what_a_recipe_reads_can_be_listed(recipe: Path) -> None:
    listed = dict(named_paths(load_recipe(str(recipe))))
    assert listed["sft.conversations"] == str(recipe.parent / "chat.jsonl")
    assert listed["classifiers.essays.positive.1"] == "https://host.example/good.jsonl"
    assert "extract.urls.blocked_domains.0" not in listed


@pytest.mark.parametrize(
    "override",
    [
        "source.base=https://crawler:hunter2@mirror.example",
        "source.base=s3://AKIA:hun/ter2@bucket",
        "extract.urls.blocked_domains=['https://mirror.example/list.txt?X-Amz-Signature=hunter2']",
        "mixture.others.older.store=sftp://me:hunter2@host/store",
        "sft.conversations=https://hunter2@host/chat.jsonl",
    ],
)
def test_a_password_is_refused_and_not_repeated(recipe: Path, override: str) -> None:
    field = override.partition("=")[0]
    with pytest.raises(RecipeError, match=field.replace(".", r"\.") + r".* has a user name, a password or") as refusal:
        load_recipe(str(recipe), [override])
    whole = f"{refusal.value}{refusal.value.__cause__}"
    assert "hunter2" not in whole and "ter2@" not in whole


@pytest.mark.parametrize("field", ["source.base", "mixture.others.older.store"])
def test_an_address_is_of_one_place(recipe: Path, field: str) -> None:
    with pytest.raises(RecipeError, match=rf"{field} chains addresses"):
        load_recipe(str(recipe), [f"{field}=zip://inner::file:///home/somebody/x.zip"])


def test_a_host_in_ipv6_is_no_chain(recipe: Path) -> None:
    assert load_recipe(str(recipe), ["source.base=http://[::1]:8080/cc"]).source.base == "http://[::1]:8080/cc"
    for chain in ("http://[::1]/a::file:///b", "simplecache::http://[::1]/a", "s3://[::1]/a", "http://[x::1]/a"):
        with pytest.raises(RecipeError, match="chains addresses"):
            load_recipe(str(recipe), [f"source.base={chain}"])


@pytest.mark.parametrize("origin", ["https://1.1.1.1/recipe.yaml", "http://[2606:4700:4700::1111]/recipe.yaml"])
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080/cc", "http://LOCALHOST/cc", "http://169.254.169.254/latest", "https://[::1]/x"]
)
def test_a_recipe_of_a_public_host_names_no_address_of_this_network(origin: str, address: str) -> None:
    for values, field in (
        ({"source": {"base": address}}, "source.base"),
        ({"filter": {"stop_words": address}}, "filter.stop_words"),
        ({"extract": {"urls": {"blocked_domains": ["https://8.8.8.8/x", address]}}}, "extract.urls.blocked_domains.1"),
    ):
        assert inward_address(values, origin) == f"{field}: {address}"
        for own in ("https://127.0.0.1/recipe.yaml", "s3://bucket/recipe.yaml", "mine.yaml"):
            assert inward_address(values, own) is None, "what is here may name what is here"


@pytest.mark.parametrize("base", ["https://8.8.8.8/cc", "s3://bucket/cc", "http://no-such-host.invalid/", "http://["])
def test_other_addresses_are_left_to_whoever_asks_for_them(base: str) -> None:
    assert inward_address({"source": {"base": base}}, "https://1.1.1.1/recipe.yaml") is None


def test_code_is_relative_to_the_recipes_file() -> None:
    values = {
        "filter": {"rules": ["mine.py:a", "package.rules:b"], "signals": ["mine.py:c"]},
        "extract": {"extractor": "mine.py:d"},
        "stages": ["below/mine.py:S"],
    }
    assert anchored(values, Path("/recipes")) == {
        "filter": {"rules": ["/recipes/mine.py:a", "package.rules:b"], "signals": ["/recipes/mine.py:c"]},
        "extract": {"extractor": "/recipes/mine.py:d"},
        "stages": ["/recipes/below/mine.py:S"],
    }
    assert anchored({"extract": {"extractor": "balanced"}}, Path("/recipes")) == {"extract": {"extractor": "balanced"}}


def test_evaluation_tasks_are_shipped_names_or_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nevaluate: {tasks: [arithmetic, capitals.yaml]}\n")
    recipe = load_recipe(str(tmp_path / "mine.yaml"))
    assert recipe.evaluate.tasks == ("arithmetic", str(tmp_path / "capitals.yaml"))
    with pytest.raises(UsageError, match=r"evaluate\.tasks\.1: there is no file"):
        require_named_files(recipe, RunSettings(store=str(tmp_path)))
