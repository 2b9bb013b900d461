"""Count lines of code, comments and docstrings left out, for each package."""

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "keraunos"
LONGEST = 600


def main() -> None:
    totals: Counter[str] = Counter()
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text()
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        totals[room] += code_lines(source)
        if (length := source.count("\n")) > LONGEST:
            print(f"{path.relative_to(ROOT)} has {length} lines; {LONGEST} is the most")
    for room, count in totals.most_common():
        print(f"{count:7,}  {room}")
    print(f"{sum(totals.values()):7,}  in all")


def code_lines(source: str) -> int:
    """Lines that hold a token other than a comment or a docstring."""
    docs: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            docs.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*blank, tokenize.ENDMARKER):
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docs)


if __name__ == "__main__":
    main()
