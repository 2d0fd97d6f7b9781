"""rl: the newest model before it, trained by rewards of its own replies."""

import dataclasses
from typing import Any

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from flows.stages.trained_models import HELD_OUT, newest_model
from tasks.dataset.stage import Upstream


def _program_config(context: ProgramContext) -> dict[str, Any]:
    return context.plan.job_config | {
        "folder": str(context.model_folder("rl")),
        "base": str(context.starting_model),
        "tokenizer": context.tokenizer_file(),
        "prompts": str(context.chat["prompts"]),
        "tokens": context.held_out_tokens,
        "cache": str(context.cache),
    }


STAGE = ProgramStage(
    name="rl",
    version=1,
    upstream=(Upstream("tokenizer"), HELD_OUT, *newest_model("rl")),
    config_of=lambda recipe: dataclasses.asdict(recipe.rl) | {"own_rewards": recipe.own_rewards} if recipe.rl else None,
    module="model.rl",
    is_training=True,
    program_config=_program_config,
    summary=training_summary,
)
