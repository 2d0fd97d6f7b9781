"""pretrain: from packed tokens to a base model."""

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from tasks.dataset.stage import Upstream

STAGE = ProgramStage(
    name="pretrain",
    version=1,
    upstream=(Upstream("tokenizer"), Upstream("tokens", all_parts=True), Upstream("packing")),
    config_of=lambda recipe: recipe.pretrain,
    module="model.pretrain",
    is_training=True,
    program_config=ProgramContext.pretraining,
    summary=training_summary,
)
