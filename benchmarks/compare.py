"""All workloads, all implementations, interleaved in fresh processes; prints a table of ratios.

make bench                                             # ours, by hand, Keras on JAX
python benchmarks/compare.py --workloads w1,w4 --impls keraunos,keras-tensorflow --core 0
python benchmarks/compare.py --report --write README.md
"""

import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results.jsonl"
ENVIRONMENTS = {"keras-tensorflow": "tensorflow", "keras-torch": "torch"}
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
NAMES = {
    "w1": "MLP of the guide", "w2": "MLP, MNIST", "w3": "two inputs, LSTM", "w4": "small CNN",
    "w5": "ResNet-20", "w6": "small GPT", "w7": "`predict`, one row",
}  # fmt: skip


def python_of(impl: str) -> str:
    """The interpreter that has what this implementation needs."""
    folder = ENVIRONMENTS.get(impl)
    return str(HERE / ".venvs" / folder / "bin" / "python") if folder else sys.executable


def run(workload: str, impl: str, core: str | None, seconds: float) -> dict:
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "TF_CPP_MIN_LOG_LEVEL": "3"}
    env |= {"BENCH_CORE": core} if core else {}
    command = [python_of(impl), str(HERE / "one.py"), workload, impl]
    about = {"workload": workload, "impl": impl, "core": core}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return about | {"error": f"not done after {seconds:.0f} s"}
    except FileNotFoundError:
        return about | {"error": "no environment; run benchmarks/environments.sh"}
    if done.returncode:
        return about | {"error": done.stderr.strip()[-300:]}
    return json.loads(done.stdout.splitlines()[-1]) | about


def table(rows: list[dict]) -> str:
    """Markdown: time of an epoch relative to ours; CPU time where runs were held to one core."""
    found = collections.defaultdict(list)
    for row in rows:
        found[row["workload"], row["impl"]].append(row)
    impls = list(dict.fromkeys(row["impl"] for row in rows))
    impls.sort(key=lambda impl: impl != "keraunos")
    lines = [f"| | {' | '.join(impls)} |", "|---" * (len(impls) + 1) + "|"]

    def middle(workload, impl):
        times = [
            row["cpu" if row["core"] else "wall"]
            for row in found[workload, impl]
            if "error" not in row
        ]
        return statistics.median(times) if times else None

    for workload in sorted({row["workload"] for row in rows}):
        ours, cells = middle(workload, "keraunos"), []
        for impl in impls:
            time = middle(workload, impl)
            if time is None:
                errors = [row["error"] for row in found[workload, impl]]
                cells.append("too long" if any("not done" in e for e in errors) else "-")
            elif impl == "keraunos" or ours is None:
                cells.append(f"{time * 1000:.3g} ms")
            else:
                cells.append(f"{time / ours:.2f}")
        lines.append(f"| {NAMES[workload]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", default=",".join(NAMES))
    parser.add_argument("--impls", default="keraunos,jax-step,jax-scan,keras-jax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", help="hold every run to this core, and compare CPU times")
    parser.add_argument("--seconds", type=float, default=300, help="the longest a run may take")
    parser.add_argument("--report", action="store_true", help="run nothing")
    parser.add_argument("--write", help="a file with two markers, to put the table between")
    given = parser.parse_args()
    if not given.report:
        RESULTS.unlink(missing_ok=True)
    for turn in range(0 if given.report else given.rounds):
        for workload in given.workloads.split(","):
            for impl in given.impls.split(","):
                row = run(workload, impl, given.core, given.seconds)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                times = "{cpu:.4f} s CPU, {wall:.4f} s".format(**row) if "cpu" in row else ""
                print(turn, workload, impl, times or row["error"], file=sys.stderr, flush=True)
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    made = table(rows)
    print(made)
    if given.write:
        path = pathlib.Path(given.write)
        before, _, rest = path.read_text().partition(BEGIN)
        path.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
