"""backtranslated: documents of the corpus as answers, each to an instruction that a model wrote (arXiv:2308.06259)."""

from collections.abc import Iterator

from tasks.dataset.stage import Output, PartContext, Stage, Upstream
from tasks.synthesis.config import BacktranslateConfig
from tasks.synthesis.documents import beginning, shown_documents
from tasks.synthesis.output_checks import OutputChecks
from tasks.synthesis.prompts import prompt, prompt_version, score_in
from tasks.synthesis.rows import CONVERSATIONS, DECISIONS, Made, SynthesisStageConfig, part_generator, stage_config

_VERSION = prompt_version("instruction", "instruction_score")


class BacktranslatedConfig(SynthesisStageConfig):
    """The shared fields, and the section."""

    backtranslate: BacktranslateConfig


def run(context: PartContext) -> Iterator[Output]:
    """Yield a conversation for each document whose instruction was written and scored well enough."""
    config = context.config(BacktranslatedConfig)
    section, seed = config.backtranslate, config.generator.seed
    checks = OutputChecks(config.output, context.store)
    with part_generator(context, config, "corpus") as generator:
        for documents in shown_documents(context, section, seed):
            made = Made("backtranslated", CONVERSATIONS)
            texts = [beginning(row["text"], section) for row, _ in documents]
            replies = list(generator.replies(prompt("instruction", seed, text=text) for text in texts))
            reasons = [
                checks.reasons(reply, row["language"]) for (row, _), reply in zip(documents, replies, strict=True)
            ]
            good = [at for at, failed in enumerate(reasons) if not failed and section.min_score > 1]
            asked = (
                prompt("instruction_score", seed, instruction=replies[at].text.strip(), text=texts[at]) for at in good
            )
            scores = {
                at: None if reply.failed else score_in(reply.text, 5)
                for at, reply in zip(good, generator.replies(asked), strict=True)
            }
            for at, (row, _) in enumerate(documents):
                score = scores.get(at)
                if at in scores and (score is None or score < section.min_score):
                    reasons[at].append("no_score" if score is None else "low_score")
                turns = (("user", replies[at].text.strip()), ("assistant", texts[at]))
                conversation = {
                    "messages": [{"role": role, "content": content} for role, content in turns],
                    "score": score,
                    "source_ids": [row["id"]],
                    "generator": config.writer,
                    "prompt_version": _VERSION,
                    "seed": seed,
                }
                made.add(row["id"], conversation, reasons[at])
            yield made.output()
        yield Output(counters=generator.counters)


STAGE = Stage(
    name="backtranslated",
    version=1,
    upstream=(Upstream("corpus"),),
    config_of=lambda recipe: stage_config(recipe.synthesis, "backtranslate", _VERSION),
    pace=("requests",),
    rows=CONVERSATIONS,
    decisions=DECISIONS,
    run=run,
)
