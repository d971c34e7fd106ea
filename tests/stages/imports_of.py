"""Which files of the project a module imports, read from their text; imports inside functions count too."""

import ast
from pathlib import Path


def imported_files(source: Path, module: str) -> set[str]:
    """Paths from the repository's root of the module and of all that it leads to, with the templates beside them.

    Empty `__init__.py` are left out.
    """
    found: set[str] = set()
    waiting = [module]
    while waiting:
        path = _path(source, waiting.pop())
        if path is None or str(path) in found:
            continue
        found.add(str(path))
        found |= {str(template) for template in path.parent.glob("templates/*")}
        waiting += _imports(path)
    return {str(Path(path).relative_to(source.parent)) for path in found}


def _path(source: Path, module: str) -> Path | None:
    path = source / Path(*module.split("."))
    return next((found for found in (path.with_suffix(".py"),) if found.exists()), None)


def _imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hemaloop"):
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names
