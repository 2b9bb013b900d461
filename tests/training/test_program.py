"""A program runs any number of steps; whether in a loop is read from the program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from keraunos import ops
from keraunos.core.state import Variable
from keraunos.data import Arrays, Stream
from keraunos.training.program import Pacer, Program


def counter():
    total = Variable(np.float32(0), name="total")

    def step(state, batch):
        ((value,),) = state
        (x,) = batch
        value = value * 0.5 + jnp.sum(x)
        return {"total": value}, ([value],)

    return total, step


@pytest.mark.parametrize("eager", [False, True])
def test_any_count_of_steps_gives_the_same(eager):
    data = Arrays((np.arange(10, dtype="float32"),), batch_size=2)
    ends = []
    for counts in ([5], [1, 1, 1, 1, 1], [2, 3]):
        if eager and len(counts) != 5:
            continue
        total, step = counter()
        program = Program(step, ([total],), Arrays.pick, eager=eager)
        ((feed, steps),) = data.feeds(0)
        assert steps == range(5)
        start = 0
        for count in counts:
            out = program(feed, start, count)
            start += count
        ends.append((float(total.value), float(out["total"])))
    assert len(set(ends)) == 1 and ends[0][0] == ends[0][1]


def test_all_outs_are_kept():
    total, step = counter()
    program = Program(step, ([total],), Arrays.pick, keep="all")
    ((feed, _),) = Arrays((np.ones(6, "float32"),), batch_size=2).feeds(0)
    out = program(feed, 0, 3, room=4)["total"]
    assert np.asarray(out).tolist() == [2.0, 3.0, 3.5, 0.0]


def test_a_stream_gives_what_arrays_give():
    x = np.random.default_rng(0).normal(size=(11, 3)).astype("float32")
    ends = []
    for data in (Arrays((x,), 2), Stream([(x[i : i + 2],) for i in range(0, 11, 2)])):
        total, step = counter()
        program = Program(step, ([total],), data.pick)
        for feed, steps in data.feeds(0):
            program(feed, steps.start, len(steps))
        ends.append(float(total.value))
    assert ends[0] == ends[1]


def gradient_of(convolve):
    def step(state, batch):
        ((kernel,),) = state
        loss = lambda kernel: jnp.sum(jnp.sin(convolve(batch, kernel)))
        return {}, ([kernel - jax.grad(loss)(kernel)],)

    return step


@pytest.mark.parametrize(
    ("convolve", "loops"),
    [
        (lambda x, w: ops.conv(x, w, padding="same"), True),
        (lambda x, w: ops.conv(x, w, strides=2), True),
        (
            lambda x, w: jax.lax.conv_general_dilated(
                x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            ),
            False,
        ),
    ],
)
def test_a_loop_is_not_made_where_it_would_be_slow(convolve, loops):
    kernel = Variable(np.ones((3, 3, 2, 2), "float32"))
    program = Program(gradient_of(convolve), ([kernel],), Stream.pick)
    feed = jnp.ones((4, 1, 5, 5, 2))
    assert (program.most(feed) > 1) == loops


def test_the_pacer_stops_every_step_for_those_who_watch():
    assert list(Pacer(patience=0).runs(range(3))) == [(0, 1), (1, 1), (2, 1)]


def test_the_pacer_keeps_to_a_fixed_number():
    assert list(Pacer(fixed=4).runs(range(10))) == [(0, 4), (4, 4), (8, 2)]


def test_the_pacer_takes_more_steps_when_they_are_quick():
    runs = list(Pacer().runs(range(1000)))
    assert runs[0] == (0, 1) and max(count for _, count in runs) > 32
    assert sum(count for _, count in runs) == 1000
