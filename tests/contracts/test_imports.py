"""What import-linter cannot state: the command line is a module, not a package."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("nasengine", "search_spaces", "predictors", "export")


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


def test_nothing_imports_the_command_line():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 50
    assert [str(path) for path in files if "cli" in imported_modules(path)] == []
