"""sft: the pretrained model finetuned on conversations."""

from typing import Any

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from flows.stages.synthetic_chat import synthetic_sets
from flows.stages.trained_models import HELD_OUT, newest_model
from tasks.dataset.stage import Upstream


def _program_config(context: ProgramContext) -> dict[str, Any]:
    return context.plan.job_config | {
        "folder": str(context.model_folder("sft")),
        "base": str(context.model_to_begin_with(context.plan.job_config["base"]) or context.starting_model),
        "tokenizer": context.tokenizer_file(),
        "conversations": context.chat_file("conversations", context.plan.job_config["conversations"]),
        "mixture": [
            one | {"conversations": context.chat_file(f"mixture.{number}.conversations", one["conversations"])}
            for number, one in enumerate(context.plan.job_config["mixture"])
            if not context.is_empty(one["conversations"])
        ],
        "tokens": context.held_out_tokens,
        "cache": str(context.cache),
    }


def _named(recipe: Any) -> set[str]:
    return {recipe.sft.conversations, *(one.conversations for one in recipe.sft.mixture)}


STAGE = ProgramStage(
    name="sft",
    version=3,
    upstream=(Upstream("tokenizer"), HELD_OUT, *newest_model("sft"), *synthetic_sets(_named)),
    config_of=lambda recipe: recipe.sft,
    module="model.sft",
    is_training=True,
    program_config=_program_config,
    summary=training_summary,
)
