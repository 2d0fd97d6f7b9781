"""export: the finished model in the layout that other programs read."""

from typing import Any

from flows.stages.program import ProgramContext, ProgramStage
from flows.stages.trained_models import newest_model
from tasks.base.plain_data import parse_json
from tasks.dataset.stage import Upstream


def _path(context: ProgramContext) -> str:
    """Return where the exported model lies, below the store."""
    return f"{context.model_path(context.trained)}/export"


def _program_config(context: ProgramContext) -> dict[str, Any]:
    return context.plan.job_config | {
        "model": str(context.model_folder(context.trained)),
        "tokenizer": context.tokenizer_file(),
        "output": str(context.folder / _path(context)),
        "identity": context.plan.fingerprint,
    }


def _is_there(context: ProgramContext) -> bool:
    """Return whether the export is in the store, and no other in its place."""
    try:
        report = parse_json(context.store.read_bytes(f"{_path(context)}/export_report.json"))
    except (OSError, ValueError):
        return False
    return bool(isinstance(report, dict) and report.get("identity") == context.plan.fingerprint)


def _is_decoder(recipe: Any) -> bool:
    return recipe.pretrain.objective == "causal" if recipe.pretrain else recipe.sft is not None


STAGE = ProgramStage(
    name="export",
    version=2,
    upstream=(Upstream("tokenizer"), *newest_model("export")),
    config_of=lambda recipe: recipe.export if _is_decoder(recipe) else None,
    module="model.export",
    program_config=_program_config,
    summary=lambda context: {"folder": _path(context)},
    is_there=_is_there,
)
