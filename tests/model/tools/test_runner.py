"""Tools in their process: results within limits of time and size, whatever a tool or a call does."""

import json
import time
from collections.abc import Iterator

import pytest

from model.base.errors import BadInput
from model.data.chat_format import ToolCall
from model.tools.runner import ToolLimits, ToolRunner

OWN = "tests.model.tools.own_tools"


@pytest.fixture(scope="module")
def tools() -> Iterator[ToolRunner]:
    """The calculator and some tools of one's own."""
    own = [f"{OWN}:{name}" for name in ("SLOW", "PRINTING", "DYING", "FAILING")]
    with ToolRunner(["calculator", *own], ToolLimits(seconds=1, characters=50)) as runner:
        yield runner


def call(tools: ToolRunner, name: str, **arguments: object) -> str:
    """The result of a call."""
    return tools.call(ToolCall(name, json.dumps(arguments)))


def test_the_model_is_told_of_each_tool(tools: ToolRunner) -> None:
    assert [one["name"] for one in tools.definitions] == ["calculator", "slow", "printing", "dying", "failing"]
    assert tools.definitions[0] == {"name": "calculator", "arguments": {"expression": "string"}}
    assert tools.definitions[1] == {"name": "slow", "description": "Wait.", "arguments": {"seconds": "number"}}


def test_a_call_has_its_result(tools: ToolRunner) -> None:
    assert call(tools, "calculator", expression="37*48") == "1776"


def test_a_call_without_a_result_says_why(tools: ToolRunner) -> None:
    assert call(tools, "calculator", expression="1/0") == "error: division by zero"
    assert call(tools, "calculator", expression=1) == "error: expression must be of the type string"
    assert call(tools, "calculator", other="1") == "error: calculator takes expression"
    assert call(tools, "browser").startswith("error: there is no tool browser")
    assert call(tools, "failing") == "error: failing failed: ZeroDivisionError"
    assert tools.call(ToolCall("calculator", "[" * 100_000)).startswith("error: calculator failed")


def test_a_call_that_takes_too_long_is_ended_and_the_next_one_answered(tools: ToolRunner) -> None:
    begun = time.monotonic()
    assert call(tools, "slow", seconds=60).startswith("error: slow took longer than 1 seconds")
    assert time.monotonic() - begun < 5
    assert call(tools, "slow", seconds=0) == "done"


def test_a_tool_that_ends_its_process_ends_nothing_else(tools: ToolRunner) -> None:
    assert call(tools, "dying").startswith("error: dying took longer")
    assert call(tools, "calculator", expression="1+1") == "2"


def test_a_long_result_is_cut_and_what_a_tool_prints_is_no_result(tools: ToolRunner) -> None:
    assert call(tools, "printing", text="ab") == "ab" * 23 + " ..."


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("calculater", "did you mean 'calculator'"),
        ("search=/nowhere", "no search index"),
        ("no.such.module:TOOL", "ModuleNotFoundError"),
        (f"{OWN}:Tool", "is no model.tools.tool.Tool"),
    ],
)
def test_a_tool_that_cannot_be_loaded_is_told(name: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        ToolRunner([name])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(BadInput, match="the same name"):
        ToolRunner(["calculator", "calculator"])
