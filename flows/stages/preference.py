"""preference: the newest model finetuned on pairs of replies."""

from typing import Any

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from flows.stages.synthetic_chat import synthetic_sets
from flows.stages.trained_models import HELD_OUT, newest_model
from tasks.dataset.stage import Upstream


def _program_config(context: ProgramContext) -> dict[str, Any]:
    return context.plan.job_config | {
        "folder": str(context.model_folder("preference")),
        "base": str(context.starting_model),
        "tokenizer": context.tokenizer_file(),
        "pairs": context.chat_file("pairs", context.plan.job_config["pairs"]),
        "tokens": context.held_out_tokens,
        "cache": str(context.cache),
    }


STAGE = ProgramStage(
    name="preference",
    version=1,
    upstream=(
        Upstream("tokenizer"),
        HELD_OUT,
        *newest_model("preference"),
        *synthetic_sets(lambda recipe: {recipe.preference.pairs}),
    ),
    config_of=lambda recipe: recipe.preference,
    module="model.preference",
    is_training=True,
    program_config=_program_config,
    summary=training_summary,
)
