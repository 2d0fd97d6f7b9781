"""TRL in an environment of its own, which our post-training is compared with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.environments import environment_with, output_of, requirements_in

_REQUIREMENTS = Path(__file__).with_name("trl-requirements.txt")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}


def told_by_trl(script: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The last line that a script prints under TRL's Python, given what it is asked on its standard input.

    It is told "settings" besides, fields of TRL's config that follow from "steps", "batch" and "lr". The test is
    skipped where TRL cannot be installed.
    """
    python = environment_with("trl", requirements_in(_REQUIREMENTS))
    said = output_of(python, script, given=json.dumps({**asked, "settings": _settings(asked)}), variables=_OFFLINE)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """AdamW with one rate for all weights, in float32, and nothing saved."""
    return {
        "use_cpu": True,
        "bf16": False,
        "max_steps": asked["steps"],
        "per_device_train_batch_size": asked["batch"],
        "learning_rate": asked["lr"],
        "lr_scheduler_type": "constant",
        "adam_beta1": 0.9,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-10,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "gradient_checkpointing": False,
        "disable_dropout": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
    }
