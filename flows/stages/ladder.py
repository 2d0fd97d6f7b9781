"""ladder: small models trained on the run's own tokens, whose losses show a scaling law. `sluice ladder` plans them."""

from flows.stages.program import ProgramContext, ProgramStage, training_summary
from tasks.dataset.stage import Upstream

STAGE = ProgramStage(
    name="ladder",
    version=1,
    upstream=(Upstream("tokens", all_parts=True), Upstream("packing")),
    config_of=lambda recipe: None,
    module="model.pretrain",
    is_training=True,
    leaves_model=False,
    program_config=ProgramContext.pretraining,
    summary=training_summary,
)
