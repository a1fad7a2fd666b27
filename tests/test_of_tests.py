"""Tests check something: none returns before its first check, which would count as passed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py"))


def checks(statement: ast.stmt) -> bool:
    """Whether a statement asserts something, or calls what may."""
    nodes = list(ast.walk(statement))
    raising = ("raises", "warns", "fail", "skip")
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Attribute) and node.attr in raising)
        or "assert" in getattr(node, "attr", getattr(node, "id", ""))
        for node in nodes
    )


def silent_returns(body: list[ast.stmt], checked: bool = False) -> Iterator[int]:
    """The lines of those returns of a test before which nothing is checked."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(statement, ast.Return) and not checked:
            yield statement.lineno
        for name in ("body", "orelse", "finalbody"):
            yield from silent_returns(getattr(statement, name, []), checked)
        for handler in getattr(statement, "handlers", []):
            yield from silent_returns(handler.body, checked)
        checked = checked or checks(statement)


@pytest.mark.parametrize("file", FILES)
def test_no_test_returns_before_its_first_check(file: str) -> None:
    module = ast.parse((TESTS / file).read_text())
    groups = [x for x in module.body if isinstance(x, ast.ClassDef) and x.name.startswith("Test")]
    tests = [
        node
        for scope in (module, *groups)
        for node in scope.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert not [line for test in tests for line in silent_returns(test.body)]
