"""A user's own Python code that a recipe names: `my_rules.py:short_lines`, or `my_package.rules:short_lines`.

Notable:
- What counts is the source. When a run is planned, a name becomes itself with the source behind it, so a fingerprint
  follows the code, and a worker on any machine runs what the run began with. A module is one file: what it imports must
  be installed, or in the same file.
- Nothing here decides whether code may run: whoever plans a run does (`flows.recipe.own_code`), and code that a store
  remembers is never run (`known_object`).
"""

import hashlib
import importlib.util
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from tasks.base.errors import PermanentError, UsageError

_MAX_BYTES = 1 << 20


class _Named(NamedTuple):
    """A name of code, taken apart."""

    place: str
    """A file's path, or a module's dotted name."""
    object: str
    source: str | None
    """The module's source, once the name is pinned."""


def _is_name(value: str) -> str:
    named = _parsed(value)
    if not named.object.isidentifier() or not named.place:
        raise ValueError("code is named by FILE.py:NAME or MODULE:NAME, such as my_rules.py:short_lines")
    return value


@dataclass(frozen=True)
class NamesCode:
    """Marks a field whose values name code, or something built in."""


OwnCode = Annotated[str, AfterValidator(_is_name), NamesCode()]
"""Names a thing in a Python file, by path, or in an installed module."""


def _parsed(value: str) -> _Named:
    head, newline, source = value.partition("\n")
    place, _, name = head.rpartition(":")
    return _Named(place, name, source if newline else None)


def is_code(value: str) -> bool:
    """Return whether a value names code, and nothing that is built in."""
    return bool(_parsed(value).place)


def is_pinned(value: str) -> bool:
    """Return whether a name has its source behind it."""
    return _parsed(value).source is not None


def code_name(value: str) -> str:
    """Return the name of the thing, without file and source."""
    return _parsed(value).object


def code_place(value: str) -> str:
    """Return where the code is from: a path, or a module's name."""
    return _parsed(value).place


def without_source(value: Any) -> Any:
    """Return a value of a configuration to show, each name of code in it with a digest in place of the source."""
    if isinstance(value, list | tuple):
        return [without_source(item) for item in value]
    if not isinstance(value, str) or "\n" not in value or not _parsed(value).object.isidentifier():
        return value
    head, _, source = value.partition("\n")
    return f"{head} ({hashlib.sha256(source.encode()).hexdigest()[:8]})"


def code_file(value: str) -> Path:
    """Return the file of a name that is not pinned. Raises UsageError where there is none."""
    place = _parsed(value).place
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise UsageError(f"{value}: there is no file {Path(place).absolute()}.")
        return Path(place)
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{value}: the module {place} cannot be imported: {error}.") from error
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        raise UsageError(
            f"{value}: there is no module {place} in Python; for a file give its path, as in my_rules.py:x."
        )
    return Path(spec.origin)


def pinned(value: str) -> str:
    """Return a name with its module's source behind it, under the file's base name."""
    if is_pinned(value):
        return value
    file = code_file(value)
    content = file.read_bytes()
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{value}: {file} has more than {_MAX_BYTES:,} bytes.")
    try:
        source = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{value}: {file} is no UTF-8 text: {error}.") from error
    return f"{file.name}:{code_name(value)}\n{source}"


def load(value: str) -> Any:
    """Run a name's module, once in a process, and return the thing. Raises UsageError where it fails or has none."""
    place, name, source = _parsed(pinned(value))
    key = hashlib.sha256((source or "").encode()).hexdigest()
    if key not in _modules():
        module = ModuleType(Path(place).stem)
        module.__file__ = place
        with explaining(value, UsageError):
            exec(compile(source or "", place, "exec"), module.__dict__)
        _modules()[key] = module
    try:
        return getattr(_modules()[key], name)
    except AttributeError as error:
        raise UsageError(f"{place} has no {name!r}.") from error


def known_object(value: str) -> Any | None:
    """Return the thing if its module was run in this process already; None: it was not, and is not run now."""
    source = _parsed(value).source
    module = _modules().get(hashlib.sha256(source.encode()).hexdigest()) if source is not None else None
    return getattr(module, code_name(value), None)


@cache
def _modules() -> dict[str, ModuleType]:
    """The modules that were run, by the digest of their source."""
    return {}


@contextmanager
def explaining(value: str, kind: type[PermanentError] = PermanentError, where: str = "") -> Iterator[None]:
    """Turn an error of the user's code into one that says in which line of which file it came up, and at what."""
    try:
        yield
    except Exception as error:
        place = Path(code_place(value)).name
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == place
        ]
        line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        at = f", line {line}" if line else ""
        raise kind(f"{place}{at}{where}: {type(error).__name__}: {error}.") from error
