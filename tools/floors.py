"""Check that modules import only downwards, and never in a circle.

A module may import from the floors below its own; within a floor, imports must not form a
circle. Imports inside functions count too, except those of optional packages, which are not
ours. Exit status 1 if a rule is broken.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "keraunos"

# From the ground up. A name stands for the module and for all modules within it.
FLOORS = [
    ["core"],
    ["random", "ops"],
    ["distribution", "initializers", "regularizers", "constraints", "activations", "quantizers"],
    ["layers"],
    ["losses", "metrics", "optimizers", "data", "callbacks", "saving", "export"],
    ["training"],
    ["models"],
    [
        "applications",
        "datasets",
        "utils",
        "preprocessing",
        "visualization",
        "wrappers",
        "distillation",
    ],
    ["legacy"],
    ["alias", "as_keras", "cli", "__main__"],
]
# Public names over private rooms: they may look anywhere below the roof.
FACES = [
    "",
    "backend",
    "config",
    "dtype_policies",
    "mixed_precision",
    "tree",
    "utils",
    "utils.legacy",
]


def main() -> int:
    modules = {
        name: path for path in sorted((ROOT / PACKAGE).rglob("*.py")) for name in [_name(path)]
    }
    imports = {name: set(_imported(path, name, modules)) for name, path in modules.items()}
    problems = [*_upwards(imports), *_circles(imports)]
    print("\n".join(problems) or f"{len(modules)} modules on {len(FLOORS)} floors: all is well.")
    return bool(problems)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def _imported(path: Path, name: str, modules: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a file imports when it runs."""
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.name.removeprefix(PACKAGE).lstrip(".")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            base = (node.module or "").removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                yield inner if inner in modules else base


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree, without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from _running(node)


def _floor(name: str) -> int | None:
    """The number of a module's floor; None for a public face."""
    if name in FACES:
        return None
    for number, rooms in enumerate(FLOORS):
        if name.split(".")[0] in rooms:
            return number
    raise SystemExit(f"{name} has no floor: add it to FLOORS in {Path(__file__).name}.")


def _upwards(imports: dict[str, set[str]]) -> Iterator[str]:
    for name, targets in imports.items():
        here = _floor(name)
        for target in sorted(targets):
            there = _floor(target)
            if here is not None and there is None:
                yield f"{name} imports the face {target or PACKAGE}"
            elif here is not None and there is not None and there > here:
                yield f"{name} (floor {here}) imports upwards {target} (floor {there})"


def _circles(imports: dict[str, set[str]]) -> Iterator[str]:
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> Iterator[str]:
        if name in trail:
            yield "circle: " + " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in sorted(imports.get(name, ())):
                if not name.startswith(f"{target}."):  # a package's own table of contents
                    yield from visit(target, [*trail, name])
            done.add(name)

    for name in imports:
        yield from visit(name, [])


if __name__ == "__main__":
    sys.exit(main())
