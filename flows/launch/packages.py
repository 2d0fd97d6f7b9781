"""The extras of an installation: which package is in which, and what to say where one is missing."""

from importlib.util import find_spec
from types import MappingProxyType
from typing import Final

from tasks.base.errors import PermanentError

_EXTRAS: Final = MappingProxyType(
    {
        **dict.fromkeys(("torch", "accelerate", "transformers", "bm25s"), "train"),
        **dict.fromkeys(("fastapi", "uvicorn", "pydivsufsort"), "serve"),
        **{"gguf": "gguf", "s3fs": "s3", "kubernetes": "kubernetes", "lm_eval": "harness"},
    }
)
"""The extra that has a package; all others are in `data`."""


def require_packages(*packages: str) -> None:
    """Raise PermanentError, with the command that installs it, for the first package that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise PermanentError(missing_package(package))


def missing_package(package: str) -> str:
    """Return what to say of a package that is not installed."""
    extra = _EXTRAS.get(package, "data")
    return f"This needs {package}, which is not installed: pip install 'sluice[{extra}]'."
