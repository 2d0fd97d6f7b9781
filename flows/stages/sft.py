"""sft: the pretrained model finetuned on conversations."""

from typing import Any

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from flows.stages.trained_models import newest_model
from tasks.dataset.stage import Upstream


def _program_config(context: ProgramContext) -> dict[str, Any]:
    return context.plan.job_config | {
        "folder": str(context.model_folder("sft")),
        "base": str(context.starting_model),
        "tokenizer": context.tokenizer_file(),
        "conversations": str(context.chat["conversations"]),
        "mixture": [
            one | {"conversations": str(context.chat[f"mixture.{number}.conversations"])}
            for number, one in enumerate(context.plan.job_config["mixture"])
        ],
        "tokens": context.dataset("tokens"),
        "cache": str(context.cache),
    }


STAGE = ProgramStage(
    name="sft",
    version=3,
    upstream=(Upstream("tokenizer"), Upstream("tokens", all_parts=True), *newest_model("sft")),
    config_of=lambda recipe: recipe.sft,
    module="model.sft",
    is_training=True,
    program_config=_program_config,
    summary=training_summary,
)
