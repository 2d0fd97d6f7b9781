"""The registry of tools: those that come with Sluice, and any other by the name of its code.

A tool is named as a person writes it: `calculator`, `search=FOLDER` with the folder of an index, or `MODULE:NAME` for a
`Tool` of one's own in a module that Python can import.
"""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from model.base.errors import BadInput, did_you_mean
from model.tools.calculator import CALCULATOR
from model.tools.search import search_tool
from model.tools.tool import Tool

BUILTIN: Mapping[str, Callable[[str], Tool]] = {
    "calculator": lambda _: CALCULATOR,
    "search": lambda folder: search_tool(Path(folder)),
}
"""What makes each tool that comes with Sluice, from what stands behind `=` in its name."""

TOOL_HELP = "a tool that the model may call: calculator, search=FOLDER of an index, or MODULE:NAME; repeatable"


def load_tools(names: list[str]) -> dict[str, Tool]:
    """Return the tools with these names, by the name that a model calls; raises BadInput if one cannot be loaded."""
    tools = [_load(name) for name in names]
    by_name = {tool.name: tool for tool in tools}
    if len(by_name) < len(tools):
        raise BadInput(f"two of the tools have the same name: {', '.join(tool.name for tool in tools)}")
    return by_name


def _load(name: str) -> Tool:
    module, colon, attribute = name.partition(":")
    builtin, _, rest = name.partition("=")
    if builtin in BUILTIN:
        return BUILTIN[builtin](rest)
    if not colon:
        near = did_you_mean(builtin, BUILTIN)
        raise BadInput(f"there is no tool {name}{near}; there are {', '.join(BUILTIN)}, and MODULE:NAME for your own")
    try:
        tool = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module is the user's
        raise BadInput(f"the tool {name} cannot be loaded: {error!r}") from error
    if not isinstance(tool, Tool):
        raise BadInput(f"{name} is no model.tools.tool.Tool but {type(tool).__name__}")
    return tool
