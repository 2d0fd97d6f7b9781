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
    """What it does, for the model. It is a part of every prompt, so it is short."""
    parameters: Mapping[str, Mapping[str, Any]]
    """The JSON schema of each argument, by name; all are required."""
    run: Callable[..., str]
    """Takes the arguments by name, which match the schemas' types; raises ToolError where there is no result."""

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as the chat APIs define one."""
        parameters = {
            "type": "object",
            "properties": {name: dict(schema) for name, schema in self.parameters.items()},
            "required": list(self.parameters),
        }
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def call(self, arguments: Mapping[str, Any]) -> str:
        """Return the result of a call; raises ToolError if the arguments are not those of this tool."""
        if arguments.keys() != self.parameters.keys():
            raise ToolError(f"{self.name} takes {', '.join(self.parameters)}")
        for name, value in arguments.items():
            kinds = _KINDS.get(self.parameters[name].get("type", ""))
            if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
                raise ToolError(f"{name} must be of the type {self.parameters[name]['type']}")
        return self.run(**arguments)


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
