"""responses: what a model answers to prompts, one or several times.

Notable: the file of prompts is read once, when the parts are counted; each part then has a file of its own prompts.
"""

import json
from collections.abc import Iterator

import xxhash

from tasks.base.errors import PermanentError
from tasks.base.plain_data import lines_of, parse_json, without_surrogates
from tasks.dataset.data_files import pin_content, read_data_file
from tasks.dataset.stage import DatasetContext, Output, PartContext, PartInput, Stage
from tasks.dataset.store import Store
from tasks.synthesis.config import ResponsesConfig
from tasks.synthesis.generator import Generator, Request, Share
from tasks.synthesis.output_checks import OutputChecks
from tasks.synthesis.rows import CONVERSATIONS, DECISIONS, Made, SynthesisStageConfig, stage_config

_ROLES = ("system", "user", "assistant")
Prompt = tuple[str, tuple[dict[str, str], ...]]
"""Its id, and its messages."""
_EXPECTED = 'a prompt looks like {"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}]}'


class ResponsesStageConfig(SynthesisStageConfig):
    """The shared fields, and the section."""

    responses: ResponsesConfig


def run(context: PartContext) -> Iterator[Output]:
    """Yield a conversation for each response, those to the same prompt one after another."""
    config = context.config(ResponsesStageConfig)
    section, checks = config.responses, OutputChecks(config.output, context.store)
    start, total, address = context.job.read_from.split(" ")
    own: list[Prompt] = [(id, tuple(turns)) for id, turns in json.loads(context.store.read_bytes(address))]
    share = Share(int(start), len(own), int(total))
    made = Made("responses", CONVERSATIONS)
    with Generator(context.store, config.generator, config.requests, share) as generator:
        seeds = [config.generator.seed + sample for sample in range(section.samples)]
        asked = [(id, Request(messages, seed)) for id, messages in own for seed in seeds]
        replies = generator.replies(request for _, request in asked)
        for (id, request), reply in zip(asked, replies, strict=True):
            answer = {"role": "assistant", "content": reply.text.strip()}
            row = {"messages": [*request.messages, answer]} | config.provenance([id], "own", request.seed)
            made.add(f"{id}/{request.seed}", row, checks.reasons(reply))
        yield made.output(generator.counters)


def _prompts(store: Store, path: str) -> list[Prompt]:
    """Return the prompts of a file, in their order; equal ones are there once.

    Raises PermanentError at a line that is none.
    """
    found: dict[str, tuple[dict[str, str], ...]] = {}
    for number, line in lines_of(read_data_file(store, path)):
        try:
            value = parse_json(line)
            messages = value.get("messages") or [
                {"role": "user", "content": value.get("prompt", value.get("question"))}
            ]
            if not all(turn["role"] in _ROLES and isinstance(turn["content"], str) for turn in messages):
                raise ValueError("a role or a content is wrong")
            turns = tuple(
                {"role": message["role"], "content": without_surrogates(message["content"])} for message in messages
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PermanentError(f"synthesis.responses.prompts, line {number}: {_EXPECTED}; got {error!r}.") from error
        found.setdefault(xxhash.xxh3_64_hexdigest(json.dumps(turns)), turns)
    return list(found.items())


def _parts(context: DatasetContext) -> list[PartInput]:
    section = ResponsesStageConfig.model_validate(context.config).responses
    prompts = _prompts(context.store, section.prompts)
    parts = []
    for start in range(0, len(prompts), section.prompts_per_part):
        own = json.dumps(prompts[start : start + section.prompts_per_part])
        address = pin_content(context.store, own.encode(), ".json")
        parts.append(PartInput(digest=address, read_from=f"{start} {len(prompts)} {address}"))
    return parts


STAGE = Stage(
    name="responses",
    version=1,
    config_of=lambda recipe: stage_config(recipe.synthesis, "responses", "own"),
    pace=("requests",),
    rows=CONVERSATIONS,
    decisions=DECISIONS,
    run=run,
    parts=_parts,
)
