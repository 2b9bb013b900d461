"""One workload, one implementation, in this process; prints a line of JSON.

    python benchmarks/one.py w4 keraunos

Implementations: keraunos, keras-jax, keras-tensorflow, keras-torch, jax-step (by hand, a call
for each step), jax-scan (by hand, a call for each epoch). `BENCH_CORE` pins to one core, where
CPU time means something on a machine that others use too.
"""

import json
import os
import resource
import statistics
import sys
import time

if core := os.environ.get("BENCH_CORE"):
    os.sched_setaffinity(0, {int(core)})

import numpy as np
from workloads import WORKLOADS


class Clock:
    """CPU and wall time of what happens between two calls of `lap`."""

    def __init__(self):
        self.laps: list[tuple[float, float]] = []
        self.lap(False)

    def lap(self, keep: bool = True) -> None:
        now = time.process_time(), time.perf_counter()
        if keep:
            self.laps.append((now[0] - self.at[0], now[1] - self.at[1]))
        self.at = now


def with_keras(work, name: str) -> dict:
    if name.startswith("keras-"):
        os.environ["KERAS_BACKEND"] = name.removeprefix("keras-")
        name = "keras"
    K = __import__(name)
    x, y = work.data()
    model, loss = work.model(K)
    model.compile(work.optimizer, loss)
    clock = Clock()

    class Laps(K.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            clock.lap()

    x, y = (list(part) if len(part) > 1 else part[0] for part in (x, y))
    how = {"batch_size": work.batch, "epochs": work.epochs, "verbose": 0, "callbacks": [Laps()]}
    history = model.fit(x, y, **how)
    return {"laps": clock.laps, "loss": history.history["loss"][-1]}


def optimizer_by_hand(name: str):
    """`(init, update)`; update takes and returns weights and slots, and the number of the step."""
    import jax
    import jax.numpy as jnp

    def init(weights):
        return [jax.tree.map(jnp.zeros_like, weights) for _ in range(2 if name == "adam" else 1)]

    def update(weights, gradients, slots, step):
        *first, second = slots
        rate, decay = 1e-3, 0.9 if name == "rmsprop" else 0.999
        second = jax.tree.map(lambda v, g: decay * v + (1 - decay) * g * g, second, gradients)
        if first:
            first = [jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first[0], gradients)]
            rate *= jnp.sqrt(1 - decay ** (step + 1.0)) / (1 - 0.9 ** (step + 1.0))
        moved = lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7)
        return jax.tree.map(moved, weights, (first or [gradients])[0], second), [*first, second]

    return init, update


def with_jax(work, whole_epochs: bool) -> dict:
    import jax
    import jax.numpy as jnp

    init, loss = work.by_hand()
    slots_of, update = optimizer_by_hand(work.optimizer)
    weights, moments = jax.jit(init)(jax.random.key(0))
    state = weights, moments, slots_of(weights), jnp.int32(0), jnp.float32(0)
    x, y = work.data()
    rows, batch = len(x[0]), work.batch

    def step(state, x, y):
        weights, moments, slots, count, total = state
        key = jax.random.fold_in(jax.random.key(1), count)
        (value, moments), gradients = jax.value_and_grad(loss, has_aux=True)(
            weights, moments, x, y, key
        )
        weights, slots = update(weights, gradients, slots, count)
        return weights, moments, slots, count + 1, total + value * x[0].shape[0]

    def epoch(state, order, x, y):
        taken = lambda i: [tuple(a[i] for a in part) for part in (x, y)]
        full = order[: rows // batch * batch].reshape(-1, batch)
        state, _ = jax.lax.scan(lambda s, i: (step(s, *taken(i)), None), state, full)
        return step(state, *taken(order[full.size :])) if rows % batch else state

    one, all_of_it = jax.jit(step, donate_argnums=0), jax.jit(epoch, donate_argnums=0)
    if whole_epochs:
        x, y = jax.device_put((x, y))
    rng, clock = np.random.default_rng(0), Clock()
    for _ in range(work.epochs):
        state, order = (*state[:-1], jnp.float32(0)), rng.permutation(rows)
        if whole_epochs:
            state = all_of_it(state, order, x, y)
        else:
            for i in range(0, rows, batch):
                part = order[i : i + batch]
                state = one(state, tuple(a[part] for a in x), tuple(a[part] for a in y))
        value = float(state[-1]) / rows
        clock.lap()
    return {"laps": clock.laps, "loss": value}


def prediction(name: str) -> dict:
    """w7: microseconds for one row, then seconds for 60,000, on the MNIST MLP."""
    work = WORKLOADS["w2"]
    x = work.data()[0][0]
    if name.startswith("jax"):
        import jax

        init, _ = work.by_hand()
        w, _ = jax.jit(init)(jax.random.key(0))

        def forward(w, x):
            for layer in "ab":
                x = jax.nn.relu(x @ w[layer] + w[layer + "b"])
            return jax.nn.softmax(x @ w["c"] + w["cb"])

        compiled = jax.jit(forward)
        predict = lambda x: np.asarray(compiled(w, x))
    else:
        if name.startswith("keras-"):
            os.environ["KERAS_BACKEND"] = name.removeprefix("keras-")
        K = __import__("keras" if name.startswith("keras-") else name)
        model, _ = work.model(K)
        predict = lambda x: model.predict(x, verbose=0)
    clock = Clock()
    for rows, times in ((x[:1], 200), (x, 1)):
        for _ in range(3):
            predict(rows)
        clock.lap(False)
        for _ in range(times):
            predict(rows)
        clock.lap()
    one, many = clock.laps
    return {"laps": [one, tuple(t / 200 for t in one)], "many": many, "loss": 0.0}


def main() -> None:
    workload, name = sys.argv[1:]
    if workload == "w7":
        found = prediction(name)
    elif name.startswith("jax-"):
        found = with_jax(WORKLOADS[workload], name == "jax-scan")
    else:
        found = with_keras(WORKLOADS[workload], name)
    steady = found.pop("laps")
    first, rest = steady[0], steady[1:]
    found |= {"workload": workload, "impl": name, "first": first[1]}
    found |= {"cpu": statistics.median(c for c, _ in rest), "first_cpu": first[0]}
    found |= {"wall": statistics.median(w for _, w in rest)}
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
