"""Code lines of the library by folder, against the budget. Exit code 1 where it is exceeded.

The budget is that of what is written once. Engines grow with their number: each module has its own.
A code line carries code: docstrings, comments and blank lines don't count.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).parent.parent / "cornu"
BUDGET = 30_000
FILE_BUDGET = 1_000
ENGINE_BUDGET = 1_200
SHORT_FUNCTION = 30
SHORT_SHARE = 0.9

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    folders: Counter[str] = Counter()
    faults, lengths = [], []
    for path in sorted(LIBRARY.rglob("*.py")):
        name = path.relative_to(LIBRARY)
        code = code_lines(path.read_text())
        folders[f"{name.parts[0]}/" if len(name.parts) > 1 else "cornu/*.py"] += len(code)
        budget = ENGINE_BUDGET if name.parts[0] == "engines" else FILE_BUDGET
        if len(code) > budget:
            faults.append(f"cornu/{name} has {len(code):,} code lines; the budget is {budget:,}.")
        lengths += list(function_lengths(path.read_text(), code))
    total = folders.total() - folders["engines/"]
    if total > BUDGET:
        faults.append(f"Without engines there are {total:,} code lines; the budget is {BUDGET:,}.")
    short = sum(length < SHORT_FUNCTION for length in lengths) / max(1, len(lengths))
    if short < SHORT_SHARE:
        faults.append(f"{short:.1%} of functions are short; at least {SHORT_SHARE:.0%} should be.")
    for folder, count in folders.most_common():
        print(f"{folder:18}{count:8,}")
    print(f"{'without engines':18}{total:8,} of {BUDGET:,} ({total / BUDGET:.0%})")
    print(f"{short:.1%} of {len(lengths):,} functions have under {SHORT_FUNCTION} code lines.")
    for fault in faults:
        print(f"OVER BUDGET: {fault}")
    return 1 if faults else 0


def code_lines(text: str) -> set[int]:
    """The numbers of the lines that carry code."""
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        documented = isinstance(node, ast.Module | ast.ClassDef | Function)
        if documented and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            documentation.update(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in documentation
    }


def function_lengths(text: str, code: set[int]) -> Iterator[int]:
    """How many code lines each function has, its signature included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            yield len(code.intersection(range(node.lineno, (node.end_lineno or 0) + 1)))


if __name__ == "__main__":
    sys.exit(main())
