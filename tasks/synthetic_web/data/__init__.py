"""The words, sentences and page templates of the synthetic web."""

from functools import cache
from importlib import resources
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def read_data(name: str) -> dict[str, Any]:
    """Return the content of one of the files here: `country` for country.yaml."""
    return yaml.load(resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"), _LOADER)
