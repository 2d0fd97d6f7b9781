"""Write the synthetic web to a folder, in Common Crawl's layout.

Notable: the folder appears complete or not at all, and an existing one of the same configuration is left alone. Its
`synthetic_web.json` says what it was made from.

    FOLDER/collinfo.json
    FOLDER/crawl-data/<crawl>/warc.paths.gz
    FOLDER/crawl-data/<crawl>/segments/<segment>/warc/CC-MAIN-<start>-<end>-00000.warc.gz
    FOLDER/truth.jsonl.gz  FOLDER/chat/{train,pairs,questions}.jsonl  FOLDER/synthetic_web.json
"""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path

from tasks.base.config import Config
from tasks.base.errors import PermanentError
from tasks.base.fingerprint import digest
from tasks.synthetic_web.chat_data import (
    PAIRS_FILE,
    QUESTIONS_FILE,
    TRAIN_FILE,
    conversations,
    pairs,
    questions,
    write_json_lines,
)
from tasks.synthetic_web.texts.config import VERSION, SyntheticWebConfig
from tasks.synthetic_web.texts.country import Country, invent_country
from tasks.synthetic_web.truth import TRUTH_FILE, truth_line
from tasks.synthetic_web.web.warc_writing import WarcFile, gzip_member, write_warc
from tasks.synthetic_web.web.web import invent_web

_SUMMARY_FILE = "synthetic_web.json"
_HOURS_PER_WARC = 3


class SyntheticWebSummary(Config):
    """The content of a synthetic web."""

    digest: str
    """Names the configuration and the generator's version, 32 hexadecimal digits."""
    config: SyntheticWebConfig
    crawl: str
    country: str
    """The invented country's name."""
    warcs: tuple[str, ...]
    """Paths of the WARC files below the folder, as `warc.paths.gz` lists them."""
    warc_bytes: int
    """Bytes of all WARC files together."""
    records: int
    """Response records."""
    kinds: dict[str, int]
    """Response records of each kind."""
    expected: dict[str, int]
    """Response records by what should become of them: `keep`, `extract`, `filter`, `duplicates`."""
    conversations: int
    """Lines of the chat data for finetuning."""
    questions: dict[str, int]
    """The evaluation's questions, by group."""


def generate_synthetic_web(folder: str | Path, config: SyntheticWebConfig | None = None) -> SyntheticWebSummary:
    """Write the synthetic web of a configuration to a folder, unless it is already there.

    A synthetic web of another configuration is replaced. Raises `PermanentError` where the folder holds anything else.
    """
    config = config or SyntheticWebConfig()
    target = Path(folder).resolve()
    name = digest({"version": VERSION, "config": config.model_dump(mode="json")})
    with _only_writer(target) as (new, old):
        existing = _existing(target)
        if existing is not None and existing.digest == name:
            return existing
        new.mkdir()
        summary = _write(new, config, name)
        if target.exists():
            target.replace(old)
        new.replace(target)
    return summary


@contextmanager
def _only_writer(target: Path) -> Iterator[tuple[Path, Path]]:
    """Wait until no other process writes the folder; yield where to write the new one and to put the old one.

    Both are removed at the end, and at the start if a killed process left them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = (target.with_name(f".{target.name}.{kind}") for kind in ("new", "old"))
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        fcntl.flock(parent, fcntl.LOCK_EX)
        for path in (new, old):
            shutil.rmtree(path, ignore_errors=True)
        yield new, old
    finally:
        for path in (new, old):
            shutil.rmtree(path, ignore_errors=True)
        os.close(parent)


def read_summary(folder: str | Path) -> SyntheticWebSummary:
    """Return the summary of a synthetic web; raises FileNotFoundError where there is none."""
    return SyntheticWebSummary.model_validate_json((Path(folder) / _SUMMARY_FILE).read_text(encoding="utf-8"))


def _existing(target: Path) -> SyntheticWebSummary | None:
    if not target.exists() or not any(target.iterdir()):
        return None
    try:
        return read_summary(target)
    except FileNotFoundError as error:
        raise PermanentError(
            f"{target} holds files that are not a synthetic web (no {_SUMMARY_FILE}), so it is left alone. "
            "Name another folder, or empty this one."
        ) from error
    except ValueError:
        return None


def _write(folder: Path, config: SyntheticWebConfig, name: str) -> SyntheticWebSummary:
    country = invent_country(config)
    responses = invent_web(config, country)
    paths, truth_lines = [], []
    milliseconds = int(config.start.replace(tzinfo=UTC).timestamp()) * 1000 + 1
    for i, file in enumerate(_warc_files(config)):
        share = responses[len(responses) * i // config.warcs : len(responses) * (i + 1) // config.warcs]
        path = f"crawl-data/{config.crawl}/segments/{milliseconds}.{11 + i % 2}/warc/{file.base}.warc.gz"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        offsets = write_warc(folder / path, file, share, config.seed)
        paths.append(path)
        for response, offset in zip(share, offsets, strict=True):
            truth_lines.append(truth_line(f"{file.base}:{offset}", response))
    listing = "".join(f"{path}\n" for path in paths).encode()
    (folder / f"crawl-data/{config.crawl}/warc.paths.gz").write_bytes(gzip_member(listing))
    (folder / TRUTH_FILE).write_bytes(gzip_member("".join(truth_lines).encode()))
    (folder / "collinfo.json").write_text(_collinfo(config), encoding="utf-8", newline="\n")
    n_conversations, groups = _write_chat(folder, country, config)
    summary = SyntheticWebSummary(
        digest=name,
        config=config,
        crawl=config.crawl,
        country=country.name,
        warcs=tuple(paths),
        warc_bytes=sum((folder / path).stat().st_size for path in paths),
        records=len(responses),
        kinds=dict(sorted(Counter(response.truth.kind for response in responses).items())),
        expected=dict(sorted(Counter(response.truth.expected for response in responses).items())),
        conversations=n_conversations,
        questions=groups,
    )
    (folder / _SUMMARY_FILE).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8", newline="\n")
    return summary


def _warc_files(config: SyntheticWebConfig) -> list[WarcFile]:
    """Return the crawl's files, one after the other from the start of its week."""
    week = config.start.replace(tzinfo=UTC)
    files = []
    for i in range(config.warcs):
        start = week + timedelta(hours=_HOURS_PER_WARC * i, minutes=17, seconds=7 * i)
        end = start + timedelta(hours=_HOURS_PER_WARC)
        base = f"CC-MAIN-{start:%Y%m%d%H%M%S}-{end:%Y%m%d%H%M%S}-{i:05d}"
        files.append(WarcFile(base, config.crawl, start, _HOURS_PER_WARC))
    return files


def _collinfo(config: SyntheticWebConfig) -> str:
    end = config.start + timedelta(hours=_HOURS_PER_WARC * (config.warcs + 1))
    entry = {"id": config.crawl, "name": "Made-up web", "from": config.start.isoformat(), "to": end.isoformat()}
    return json.dumps([entry], indent=1) + "\n"


def _write_chat(folder: Path, country: Country, config: SyntheticWebConfig) -> tuple[int, dict[str, int]]:
    train = conversations(country, config.seed)
    asked = questions(country, config.seed)
    write_json_lines(folder / TRAIN_FILE, train)
    write_json_lines(folder / PAIRS_FILE, pairs(country, config.seed))
    write_json_lines(folder / QUESTIONS_FILE, (question.model_dump() for question in asked))
    return len(train), dict(sorted(Counter(question.group for question in asked).items()))
