"""Bad input: a message that says what, where and what to do, the right exit code, and a store that can go on."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Sluice, dataset_bytes, sluice_command, sluice_environment
from tests.tasks.crawl_mirror import gzip_members, warc_records

CRAWL = "CC-MAIN-2026-45"


def crawl_folder(folder: Path, warcs: dict[str, bytes]) -> Path:
    """A folder in Common Crawl's layout with these WARC files."""
    paths = [f"crawl-data/{CRAWL}/segments/1.1/warc/{name}" for name in warcs]
    for path, content in zip(paths, warcs.values(), strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    listing = folder / f"crawl-data/{CRAWL}/warc.paths.gz"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_bytes(gzip.compress("".join(f"{path}\n" for path in paths).encode()))
    return folder


def from_folder(folder: Path) -> list[str]:
    """Overrides that read a folder in place of the recipe's synthetic web."""
    given = {
        "synthetic_web": "null",
        "source.base": folder,
        "source.crawl": CRAWL,
        "source.warcs": "all",
        "pretrain": "null",
    }
    given |= {"sft": "null", "evaluate.questions": "null"}
    return [word for field, value in given.items() for word in ("--set", f"{field}={value}")]


def test_a_misspelt_field_is_bad_usage(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    done = sluice("run", str(tiny_recipe), "--store", str(tmp_path / "s"), "--set", "filter.langages=[en]", expect=2)
    assert "filter.langages: no such field; did you mean 'languages'?" in done.stderr
    assert not (tmp_path / "s").exists()


def test_an_unknown_option_is_bad_usage(sluice: Sluice) -> None:
    assert "--stroe" in sluice("run", "--stroe", "x", expect=2).stderr


def test_a_base_that_refuses_connections(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    arguments = ["corpus", str(tiny_recipe), "--store", str(tmp_path / "s"), *from_folder(Path("http://127.0.0.1:9"))]
    arguments += ["--set", "source.base=http://127.0.0.1:9", "--set", "source.transfer.first_pause_seconds=0.01"]
    done = sluice(*arguments, expect=1)
    assert "http://127.0.0.1:9" in done.stderr and "check source.base" in done.stderr


def test_a_warc_that_is_an_error_page(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    page = b"<html><body><h1>503 Please slow down</h1></body></html>"
    folder = crawl_folder(tmp_path / "crawl", {"a.warc.gz": page})
    done = sluice("corpus", str(tiny_recipe), "--store", str(tmp_path / "s"), *from_folder(folder), expect=1)
    assert "not a WARC file" in done.stderr and "503 Please slow down" in done.stderr and "a.warc.gz" in done.stderr


def test_an_empty_crawl(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    folder = crawl_folder(tmp_path / "crawl", {})
    done = sluice("corpus", str(tiny_recipe), "--store", str(tmp_path / "s"), *from_folder(folder), expect=1)
    assert f"{CRAWL} lists no WARC files" in done.stderr


def test_a_crawl_of_which_nothing_is_kept(
    sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    store = tmp_path / "s"
    shutil.copytree(finished_store, store)
    none = ["--set", "filter.languages=[is]"]
    done = sluice("corpus", str(tiny_recipe), "--store", str(store), *none, expect=1)
    said = " ".join(done.stderr.split())
    assert "The corpus is empty" in said and "loosen the recipe's filter" in said
    assert re.search(r"extract removed \d+ of \d+: \w+ \d+, .*filter removed all \d+: .*language \d+", said)


def test_pages_that_all_have_the_same_reason(sluice: Sluice, tiny_recipe: Path, tmp_path: Path) -> None:
    missing = [record.replace(b"200 OK", b"404 No") for record in warc_records(3)]
    folder = crawl_folder(tmp_path / "crawl", {"a.warc.gz": gzip_members(missing)})
    for _ in range(2):  # the second time the stages are there already
        done = sluice("corpus", str(tiny_recipe), "--store", str(tmp_path / "s"), *from_folder(folder), expect=1)
        said = " ".join(done.stderr.split())
        assert "no document was kept. extract removed all 3 for the same reason: http_status." in said


def test_a_store_without_runs(sluice: Sluice, tmp_path: Path) -> None:
    for verb in (["status"], ["report"], ["chat", "Hello"], ["export", str(tmp_path / "model")]):
        assert "sluice run" in sluice(*verb, "--store", str(tmp_path / "nothing"), expect=1).stderr


def can_mount() -> bool:
    """Whether a small disk of one's own can be had here."""
    probe = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False, timeout=20).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_mount(), reason="a file system of a few hundred kilobytes cannot be mounted here")
def test_a_full_disk(
    prefect_server: str, sluice: Sluice, finished_store: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    """The message says so, what was finished survives, and with room the run ends as if nothing had happened."""
    disk, saved = tmp_path / "disk", tmp_path / "saved"
    disk.mkdir()
    size = 100 * 1024 + sum(
        file.stat().st_size for file in (finished_store / "synthetic_web").rglob("*") if file.is_file()
    )
    run = " ".join(sluice_command("corpus", str(tiny_recipe), "--store", f"{disk}/s", "--workers", "1"))
    script = f"mount -t tmpfs -o size={size} none {disk} && {{ {run}; code=$?; cp -a {disk}/s {saved}; exit $code; }}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        env=sluice_environment(prefect_server),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "disk is full" in done.stderr and "run" in done.stderr
    sluice("corpus", str(tiny_recipe), "--store", str(saved), "--workers", "1")
    assert dataset_bytes(saved, "fetch", "extract", "corpus", "tokens") == dataset_bytes(
        finished_store, "fetch", "extract", "corpus", "tokens"
    )
