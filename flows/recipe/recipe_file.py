"""The values that a recipe's YAML holds: of a shipped recipe, a file, or a URL.

Notable: a recipe may come from anywhere, so its size, its protocol and what its aliases expand to are limited, and a
URL is no chain of fsspec's.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from flows.recipe.shipped import shipped_recipe, shipped_recipes
from model.base.errors import did_you_mean
from tasks.base.errors import PermanentError, UsageError

PROTOCOLS = ("https", "http", "s3")
"""Where a recipe is read from by URL."""
SUFFIXES = (".yaml", ".yml")
"""How the names of recipe files end."""
MAX_BYTES = 1 << 20
"""Size of the largest recipe."""
MAX_NODES = 100_000
"""Values and keys of the largest recipe, with all aliases written out."""


class RecipeError(UsageError):
    """The recipe, or an override of it, is wrong."""


def read_recipe_values(name: str) -> tuple[str, dict[str, Any]]:
    """Return where a recipe is from, in words, and its values; `name` is a shipped one's, a file's path or a URL.

    Raises `RecipeError` where there is none, or where it is not one mapping of fields.
    """
    where, content = _read(name)
    if len(content) > MAX_BYTES:
        raise RecipeError(f"The recipe {where} has more than {MAX_BYTES:,} bytes.")
    try:
        values = _parsed(content.decode("utf-8")) or {}
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {where} is not UTF-8 text: {error}.") from error
    except (yaml.YAMLError, ValueError) as error:  # of a number or date that there is not
        raise RecipeError(f"The recipe {where} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise RecipeError(f"The recipe {where} is nested too deeply.") from error
    if not isinstance(values, dict):
        raise RecipeError(f"The recipe {where} must be a mapping of fields, not {type(values).__name__}.")
    return where, values


def _read(name: str) -> tuple[str, bytes]:
    if "://" in name or "::" in name:
        return name, _read_url(name)
    path = Path(name)
    try:
        if path.suffix in SUFFIXES or path.is_file():
            return str(path), _read_file(path)
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
    return f"{name} (shipped)", shipped.read_bytes()


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


def _parsed(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count(node: yaml.Node, counts: dict[int, int]) -> int:
    """Return how many nodes there are at and below `node`; a few aliases of aliases may stand for billions."""
    if (known := counts.get(id(node))) is not None:
        if not known:
            raise yaml.YAMLError("an alias inside what it stands for")
        return known
    counts[id(node)] = 0
    below: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        below = node.value
    elif isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    count = counts[id(node)] = 1 + sum(_count(part, counts) for part in below)
    if count > MAX_NODES:
        raise yaml.YAMLError(f"more than {MAX_NODES:,} values")
    return count
