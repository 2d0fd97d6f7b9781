"""The list of stages: in the order of the work, and each in a file of its own that knows no other stage's."""

import ast
from importlib.util import find_spec
from pathlib import Path

from flows.stages.registry import STAGES


def imports(module: str) -> set[str]:
    """The modules that a module imports, or imports names from."""
    spec = find_spec(module)
    assert spec and spec.origin
    tree = ast.parse(Path(spec.origin).read_text())
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)):
        found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_a_stage_builds_on_stages_before_it() -> None:
    names = list(STAGES)
    for stage in STAGES.values():
        assert all(names.index(upstream.stage) < names.index(stage.name) for upstream in stage.upstream)
        assert stage.runs_with in (None, names[names.index(stage.name) - 1])


def test_stages_do_not_import_each_other() -> None:
    modules = {stage.config_of.__module__ for stage in STAGES.values()}
    assert len(modules) == len(STAGES)
    assert {module: imports(module) & modules for module in modules} == {module: set() for module in modules}
