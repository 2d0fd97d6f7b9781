"""tune: short trainings of the recipe's own model at other learning rates. `sluice tune` plans them."""

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from tasks.dataset.stage import Upstream

STAGE = ProgramStage(
    name="tune",
    version=1,
    upstream=(Upstream("tokens", all_parts=True), Upstream("packing")),
    config_of=lambda recipe: None,
    module="model.pretrain",
    is_training=True,
    leaves_model=False,
    shows_steps=False,
    program_config=ProgramContext.pretraining,
    summary=training_summary,
)
