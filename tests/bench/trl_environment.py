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

    The test is skipped where TRL cannot be installed.
    """
    python = environment_with("trl", requirements_in(_REQUIREMENTS))
    said = output_of(python, script, given=json.dumps(asked), variables=_OFFLINE)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found
