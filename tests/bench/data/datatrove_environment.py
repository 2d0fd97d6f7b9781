"""datatrove 0.10 in an environment of its own, beside ours: it pins an older trafilatura.

Notable: datatrove reaches for the network in its language and URL steps and in NLTK's sentence model; none of these is
used here: its English words and sentences come from spaCy's blank pipeline.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.environments import environment_with, output_of, requirements_in

REQUIREMENTS = Path(__file__).with_name("datatrove-requirements.txt")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "LOGURU_LEVEL": "WARNING"}


def run_in_datatrove(script: Path, *arguments: str, rows: Iterable[Mapping[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    """The JSON lines that a script of this folder prints under datatrove's Python, for `rows` on its standard input.

    The test is skipped where datatrove cannot be installed.
    """
    python = environment_with("datatrove", requirements_in(REQUIREMENTS))
    given = "".join(json.dumps(row) + "\n" for row in rows)
    for line in output_of(python, script, *arguments, given=given, variables=_OFFLINE).splitlines():
        yield json.loads(line)
