"""What a tool is: a name, what a model is told of it, and a function from the arguments of a call to a text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class ToolError(Exception):
    """A call that has no result; the model is told why, in the result's place."""


@dataclass(frozen=True)
class Tool:
    """A tool that a model may call."""

    name: str
    """Letters, digits, underscores, dots and dashes."""
    description: str
    """What it does, for the model; empty where its name says so. It is a part of every prompt, so it is short."""
    arguments: Mapping[str, str]
    """The JSON type of each argument, by name; all are required."""
    run: Callable[..., str]
    """Takes the arguments by name, which are of those types; raises ToolError where there is no result."""

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as a model is told of it: a small model has little room, so it is as short as a call."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, **described, "arguments": dict(self.arguments)}

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Return the result of a call; raises ToolError if the arguments are not those of this tool."""
        if arguments.keys() != self.arguments.keys():
            raise ToolError(f"{self.name} takes {', '.join(self.arguments)}")
        for name, value in arguments.items():
            kinds = _KINDS.get(self.arguments[name])
            if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
                raise ToolError(f"{name} must be of the type {self.arguments[name]}")
        return self.run(**arguments)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
