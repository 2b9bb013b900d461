"""Gradients of single operations: ours, XLA's plain form, PyTorch's; CPU milliseconds on one core.

    python benchmarks/operations.py [part of a name ...] [--core 0]

"in a loop" is one turn of a `fori_loop` that takes steps of gradient descent, as `fit` does it.
PyTorch is asked where `environments.sh` has put it; times are medians of interleaved calls.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# name: (shape of the input, shape of the kernel, strides, padding, groups)
CONVOLUTIONS = {
    "conv 3x3, 1 to 32": ((128, 28, 28, 1), (3, 3, 1, 32), 1, "valid", 1),
    "conv 3x3, 32 to 64": ((128, 13, 13, 32), (3, 3, 32, 64), 1, "valid", 1),
    "conv 3x3, 16 to 16": ((64, 32, 32, 16), (3, 3, 16, 16), 1, "same", 1),
    "conv 3x3, 32 to 32": ((64, 16, 16, 32), (3, 3, 32, 32), 1, "same", 1),
    "conv 3x3, 64 to 64": ((64, 8, 8, 64), (3, 3, 64, 64), 1, "same", 1),
    "conv 3x3 by 2": ((64, 32, 32, 16), (3, 3, 16, 32), 2, "same", 1),
    "conv 1x1": ((16, 28, 28, 64), (1, 1, 64, 128), 1, "valid", 1),
    "conv 1x1 by 2": ((64, 32, 32, 16), (1, 1, 16, 32), 2, "valid", 1),
    "conv 5x5": ((8, 56, 56, 32), (5, 5, 32, 64), 1, "valid", 1),
    "depthwise 3x3": ((4, 56, 56, 64), (3, 3, 1, 64), 1, "same", 64),
    "4 groups 3x3": ((32, 16, 16, 32), (3, 3, 8, 32), 1, "same", 4),
    "conv 9 of 1D": ((8, 500, 64), (9, 64, 64), 1, "same", 1),
    "conv 3x3x3": ((4, 8, 8, 8, 32), (3, 3, 3, 32, 32), 1, "same", 1),
}
# name: (shape, size, strides, whether it is the maximum)
POOLINGS = {
    "max pool 2x2": ((64, 26, 26, 32), 2, 2, True),
    "max pool 3x3 by 2": ((16, 55, 55, 32), 3, 2, True),
    "mean pool 2x2": ((64, 26, 26, 32), 2, 2, False),
}


def in_jax(names: list[str], rounds: int) -> dict:
    import jax
    import jax.numpy as jnp
    from jax import lax

    from keraunos import ops

    def measured(forms: dict, arrays: list) -> dict:
        calls = {}
        for name, form in forms.items():
            gradients = jax.grad(lambda *a: jnp.sum(form(*a) ** 2), tuple(range(len(arrays))))

            def step(state):
                return [a - 1e-6 * g for a, g in zip(state, gradients(*state))]

            loop = lambda state: lax.fori_loop(0, 3, lambda _, s: step(s), state)
            calls[name] = jax.jit(step), 1
            calls[f"{name} in a loop"] = jax.jit(loop), 3
        return timed(
            {k: (lambda f=f: jax.block_until_ready(f(arrays)), n) for k, (f, n) in calls.items()},
            rounds,
        )

    array = lambda i, shape: jax.random.normal(jax.random.key(i), shape) * 0.1
    found = {}
    for name in names:
        if name in CONVOLUTIONS:
            x, kernel, strides, padding, groups = CONVOLUTIONS[name]
            space = "DHW"[5 - len(kernel) :]
            plain = lambda x, w: lax.conv_general_dilated(
                x,
                w,
                (strides,) * len(space),
                padding.upper(),
                dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
                feature_group_count=groups,
            )
            forms = {"XLA": plain, "ours": lambda x, w: ops.conv(x, w, strides, padding)}
            found[name] = measured(forms, [array(0, x), array(1, kernel)])
        else:
            shape, size, strides, largest = POOLINGS[name]
            windows = (1, size, size, 1), (1, strides, strides, 1), "VALID"
            start, fold = (-jnp.inf, lax.max) if largest else (0.0, lax.add)
            plain = lambda x: lax.reduce_window(x, start, fold, *windows)
            pool = ops.max_pool if largest else ops.average_pool
            forms = {"XLA": plain, "ours": lambda x: pool(x, size, strides)}
            found[name] = measured(forms, [array(0, shape)])
    return found


def in_torch(names: list[str], rounds: int) -> dict:
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    found = {}
    for name in names:
        shape, kernel, strides, how, groups = (*CONVOLUTIONS.get(name, POOLINGS.get(name)), 1)[:5]
        rank = len(shape) - 2
        layout = {1: None, 2: torch.channels_last, 3: torch.channels_last_3d}[rank]
        x = torch.randn(shape[0], shape[-1], *shape[1:-1])
        x = (x.to(memory_format=layout) if layout else x).requires_grad_()
        leaves = [x]
        if name in CONVOLUTIONS:
            w = torch.randn(kernel[-1], kernel[-2], *kernel[:-2]) * 0.1
            leaves.append((w.to(memory_format=layout) if layout else w).requires_grad_())
            conv = getattr(functional, f"conv{rank}d")
            pad = kernel[0] // 2 if how == "same" else 0
            run = lambda: conv(*leaves, stride=strides, padding=pad, groups=groups)
        else:
            pool = functional.max_pool2d if how else functional.avg_pool2d
            run = lambda: pool(x, kernel, strides)
        call = lambda: torch.autograd.grad((run() ** 2).sum(), leaves)
        found[name] = timed({"PyTorch": (call, 1)}, rounds)
    return found


def timed(calls: dict, rounds: int) -> dict[str, float]:
    """Median CPU milliseconds of each call, over its number of steps; in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, (call, steps) in calls.items():
            began = time.process_time()
            call()
            if turn:  # the first compiles
                times[name].append((time.process_time() - began) * 1000 / steps)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="parts of the names of operations")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {given.core})
    wanted = given.names or [""]
    names = [n for n in (*CONVOLUTIONS, *POOLINGS) if any(part in n for part in wanted)]
    if given.torch:
        print(json.dumps(in_torch(names, given.rounds)))
        return
    here = pathlib.Path(__file__)
    sys.path.insert(0, str(here.parent.parent))
    found = in_jax(names, given.rounds)
    columns = ["ours", "ours in a loop", "XLA", "XLA in a loop"]
    python = here.parent / ".venvs" / "torch" / "bin" / "python"
    if python.exists():
        command = [
            python,
            here,
            "--torch",
            "--core",
            str(given.core),
            "--rounds",
            str(given.rounds),
        ]
        done = subprocess.run([*command, *given.names], capture_output=True, text=True, check=True)
        for name, times in json.loads(done.stdout).items():
            found[name] |= times
        columns.append("PyTorch")
    print(f"| gradients, ms | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for name, times in found.items():
        print(f"| {name} | {' | '.join(f'{times[column]:.3g}' for column in columns)} |")


if __name__ == "__main__":
    main()
