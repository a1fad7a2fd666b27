"""Code lines of the library by folder, against the budgets of its parts. Exit code 1 where one is exceeded.

A code line carries code: docstrings, comments and blank lines don't count. CONTRIBUTING.md says why a budget
was raised.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).parent.parent / "cornu"
#: Each part of the library: its folders and files, and how many code lines it may have. A file belongs to the
#: part with the longest folder that holds it; the first part has all the rest.
PARTS: dict[str, tuple[tuple[str, ...], int]] = {
    "written once": ((".",), 44_500),
    "engines that compute": (("engines",), 11_000),
    "formats": (
        (
            "engines/graphs",
            "engines/onnx",
            "engines/graphdef",
            "engines/litert",
            "export",
            "saving/onnx",
            "_messages.py",
        ),
        8_800,
    ),
    "tuner": (("tuner",), 3_600),
    "optimization": (("optimization",), 2_500),
    "serving": (("serving",), 3_350),
    "launching": (("launch",), 2_500),
}
FILE_BUDGET = 1_000
ENGINE_BUDGET = 1_200
SHORT_FUNCTION = 30
SHORT_SHARE = 0.9

Function = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    parts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    faults, lengths = [], []
    for path in sorted(LIBRARY.rglob("*.py")):
        name = path.relative_to(LIBRARY)
        code = code_lines(path.read_text())
        part, folder = place(name)
        parts[part][folder] += len(code)
        budget = ENGINE_BUDGET if name.parts[0] == "engines" else FILE_BUDGET
        if len(code) > budget:
            faults.append(f"cornu/{name} has {len(code):,} code lines; the budget is {budget:,}.")
        lengths += list(function_lengths(path.read_text(), code))
    for part, (_, budget) in PARTS.items():
        total = parts[part].total()
        if total:
            print(f"{part:22}{total:8,} of {budget:,} ({total / budget:.0%})")
            for folder, count in parts[part].most_common():
                print(f"  {folder:20}{count:8,}")
        if total > budget:
            faults.append(f"{part} has {total:,} code lines; the budget is {budget:,}.")
    short = sum(length < SHORT_FUNCTION for length in lengths) / max(1, len(lengths))
    if short < SHORT_SHARE:
        faults.append(f"{short:.1%} of functions are short; at least {SHORT_SHARE:.0%} should be.")
    print(f"{short:.1%} of {len(lengths):,} functions have under {SHORT_FUNCTION} code lines.")
    for fault in faults:
        print(f"OVER BUDGET: {fault}")
    return 1 if faults else 0


def place(name: Path) -> tuple[str, str]:
    """The part that a file of the library belongs to, and the folder that it is counted in."""
    parents = [parent.as_posix() for parent in (name, *name.parents)]
    part = next(
        part for parent in parents for part, (folders, _) in PARTS.items() if parent in folders
    )
    depth = 2 if name.parts[0] == "engines" else 1
    return part, "/".join(name.parts[: min(depth, len(name.parts) - 1)]) or "cornu"


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
