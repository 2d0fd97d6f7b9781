"""preference_pairs: the best and the worst response to each prompt, as a model or a function scores them."""

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from tasks.base.errors import PermanentError
from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.own_code.named_code import load
from tasks.synthesis.config import PairsConfig
from tasks.synthesis.generator import Generator
from tasks.synthesis.prompts import prompt, prompt_version, score_in
from tasks.synthesis.rows import DECISIONS, PAIRS, Made, SynthesisStageConfig, part_generator, stage_config

_VERSION = prompt_version("response_score")
Row = dict[str, Any]


class PairsStageConfig(SynthesisStageConfig):
    """The shared fields, and the section."""

    pairs: PairsConfig


def run(context: PartContext) -> Iterator[Output]:
    """Yield a pair for each prompt with responses that are far enough apart, and a decision for each prompt."""
    config = context.config(PairsStageConfig)
    section, made = config.pairs, Made("preference_pairs", PAIRS)
    responses = [row for table in context.input("responses") for row in table.to_pylist()]
    with part_generator(context, config, "responses") as generator:
        scores = (
            _model_scores(generator, responses, config) if section.judge == "model" else _scores(section, responses)
        )
        scored = zip(responses, scores, strict=True)
        for source, group in groupby(scored, lambda pair: pair[0]["source_ids"][0]):
            known = sorted(((score, row) for row, score in group if score is not None), key=lambda pair: -pair[0])
            if len({_answer(row) for _, row in known}) < 2:
                made.add(source, None, ["too_few_responses"])
                continue
            (best, chosen), (worst, rejected) = known[0], known[-1]
            row = {
                "prompt": chosen["messages"][:-1],
                "chosen": _answer(chosen),
                "rejected": _answer(rejected),
                "margin": best - worst,
            }
            row |= config.provenance([chosen["id"], rejected["id"]], _VERSION if section.judge == "model" else "own")
            is_tie = best == worst or best - worst < section.min_margin
            made.add(source, row, ["small_margin"] if is_tie else [])
        yield made.output(generator.counters)


def _answer(row: Row) -> str:
    return str(row["messages"][-1]["content"])


def _prompt(row: Row) -> str:
    return "\n\n".join(message["content"] for message in row["messages"][:-1])


def _model_scores(generator: Generator, responses: list[Row], config: PairsStageConfig) -> Iterator[float | None]:
    asked = (
        prompt("response_score", config.generator.seed, prompt=_prompt(row), text=_answer(row)) for row in responses
    )
    yield from (score_in(reply.text, 10) for reply in generator.replies(asked))


def _scores(section: PairsConfig, responses: list[Row]) -> Iterator[float | None]:
    judge: Callable[[str, str], float] = load(section.judge)
    for row in responses:
        score = float(judge(_prompt(row), _answer(row)))
        if not math.isfinite(score):
            raise PermanentError(f"synthesis.pairs.judge gave the response {row['id']} the score {score}.")
        yield score


STAGE = Stage(
    name="preference_pairs",
    version=1,
    upstream=(Upstream("responses"),),
    config_of=lambda recipe: stage_config(recipe.synthesis, "pairs", _VERSION),
    pace=("requests",),
    rows=PAIRS,
    decisions=DECISIONS,
    run=run,
)
