"""backtranslated: documents of the corpus as answers, each to an instruction that a model wrote (arXiv:2308.06259)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.synthesis.config import BacktranslateConfig
from tasks.synthesis.documents import beginning, shown_documents
from tasks.synthesis.generator import Generator
from tasks.synthesis.output_checks import OutputChecks
from tasks.synthesis.prompts import prompt, prompt_version, score_in
from tasks.synthesis.rows import CONVERSATIONS, DECISIONS, Made, SynthesisStageConfig, part_generator, stage_config

_VERSION = prompt_version("instruction", "instruction_score")


class BacktranslatedConfig(SynthesisStageConfig):
    """The shared fields, and the section."""

    backtranslate: BacktranslateConfig


@dataclass
class _Pair:
    """A document's beginning as the answer to an instruction."""

    id: str
    instruction: str
    answer: str
    reasons: list[str]
    """Against it."""
    score: float | None = None


def run(context: PartContext) -> Iterator[Output]:
    """Yield a conversation for each document whose instruction was written and scored well enough."""
    config = context.config(BacktranslatedConfig)
    section, seed = config.backtranslate, config.generator.seed
    checks = OutputChecks(config.output, context.store)
    instructions: set[str] = set()
    with part_generator(context, config, "corpus") as generator:
        for documents in shown_documents(context, section, seed):
            made = Made("backtranslated", CONVERSATIONS)
            shown = [(row, beginning(row["text"], section)) for row, _ in documents]
            replies = generator.replies(prompt("instruction", seed, text=text) for _, text in shown)
            pairs = [
                _Pair(row["id"], reply.text.strip(), text, checks.reasons(reply, row["language"]))
                for (row, text), reply in zip(shown, replies, strict=True)
            ]
            for pair in (pair for pair in pairs if not pair.reasons):
                if (said := pair.instruction.casefold()) in instructions:
                    pair.reasons.append("repeated_instruction")
                instructions.add(said)
            if section.min_score > 1:
                _score([pair for pair in pairs if not pair.reasons], generator, config)
            for pair in pairs:
                turns = (("user", pair.instruction), ("assistant", pair.answer))
                messages = [{"role": role, "content": content} for role, content in turns]
                conversation = {"messages": messages, "score": pair.score} | config.provenance([pair.id], _VERSION)
                made.add(pair.id, conversation, pair.reasons)
            yield made.output()
        yield Output(counters=generator.counters)


def _score(pairs: Sequence[_Pair], generator: Generator, config: BacktranslatedConfig) -> None:
    """Ask for the score of each pair, and note where it is too low."""
    asked = (
        prompt("instruction_score", config.generator.seed, instruction=pair.instruction, text=pair.answer)
        for pair in pairs
    )
    for pair, reply in zip(pairs, generator.replies(asked), strict=True):
        pair.score = score_in(reply.text, 5)
        if pair.score is None:
            pair.reasons.append("no_score")
        elif pair.score < config.backtranslate.min_score:
            pair.reasons.append("low_score")


STAGE = Stage(
    name="backtranslated",
    version=3,
    upstream=(Upstream("corpus"),),
    config_of=lambda recipe: stage_config(recipe.synthesis, "backtranslate", _VERSION),
    pace=("requests",),
    rows=CONVERSATIONS,
    decisions=DECISIONS,
    run=run,
)
