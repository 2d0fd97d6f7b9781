"""The values that a recipe's YAML holds: of a shipped recipe, a file, or a URL.

Notable: a recipe may come from anywhere, so its size and its protocol are limited, and a URL is no chain of fsspec's.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flows.recipe.named_files import anchored, inward_address, relative_path
from flows.recipe.shipped import shipped_recipe, shipped_recipes
from model.base.errors import did_you_mean
from tasks.base.errors import PermanentError, UsageError
from tasks.base.plain_data import parse_yaml

PROTOCOLS = ("https", "http", "s3")
"""Where a recipe is read from by URL."""
SUFFIXES = (".yaml", ".yml")
"""How the names of recipe files end."""
MAX_BYTES = 1 << 20
"""Size of the largest file that is read; `parse_yaml` takes half of it."""


class RecipeError(UsageError):
    """The recipe, or an override of it, is wrong."""


def read_recipe_values(name: str) -> tuple[str, dict[str, Any]]:
    """Return where a recipe is from, in words, and its values; `name` is a shipped one's, a file's path or a URL.

    Raises `RecipeError` where there is none, or where it is not one mapping of fields.
    """
    where, content, folder = _read(name)
    if len(content) > MAX_BYTES:
        raise RecipeError(f"The recipe {where} has more than {MAX_BYTES:,} bytes.")
    try:
        values = parse_yaml(content.decode("utf-8")) or {}
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {where} is not UTF-8 text: {error}.") from error
    except ValueError as error:
        raise RecipeError(f"The recipe {where} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"The recipe {where} must be a mapping of fields, not {type(values).__name__}.")
    if folder is None and "://" in where and (relative := relative_path(values)):
        raise RecipeError(f"The recipe {where}: {relative} is relative to no folder: give a full path or a URL.")
    if folder is None and (inward := inward_address(values, where)):
        raise RecipeError(
            f"The recipe {where}: {inward} is on this machine or in its own network, which a recipe of a public host"
            " may not name: read it, then save it here."
        )
    return where, anchored(values, folder) if folder else values


def _read(name: str) -> tuple[str, bytes, Path | None]:
    """Return where a recipe is from, its bytes, and the folder of its file if it is one."""
    if "://" in name or "::" in name:
        return name, _read_url(name), None
    path = Path(name)
    try:
        if path.suffix in SUFFIXES or path.is_file():
            return str(path), _read_file(path), path.absolute().parent
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"The recipe {path} cannot be read: {reason}.") from error
    shipped = shipped_recipe(name)
    if shipped is None:
        known = list(shipped_recipes())
        near = did_you_mean(name, known)
        raise RecipeError(
            f"There is no recipe called {name!r}{near}. Shipped: {', '.join(known)}; or give the path or the URL of a"
            " .yaml."
        )
    return f"{name} (shipped)", shipped.read_bytes(), None


def _read_file(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise RecipeError(f"The recipe {path} is not a file.")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _read_url(url: str) -> bytes:
    from tasks.sources.downloading import read_small
    from tasks.sources.transfer import TransferConfig

    parts = urlsplit(url)
    if parts.scheme not in PROTOCOLS or "::" in url or not parts.netloc or "@" in parts.netloc:
        allowed = ", ".join(f"{protocol}://" for protocol in PROTOCOLS)
        raise RecipeError(f"The recipe {url!r} is not a URL of {allowed} without a user name.")
    if parts.query or parts.fragment or not parts.path.endswith(SUFFIXES):
        raise RecipeError(f"The recipe {url!r} is not the URL of a .yaml, without a query.")
    base, _, file = url.rpartition("/")
    try:
        return read_small(base, file, TransferConfig(attempts=3, connect_attempts=2), bytes, MAX_BYTES)
    except PermanentError as error:
        raise RecipeError(f"The recipe {url} cannot be read. {error}") from error
