"""Connectionist temporal classification: sequences of labels that are not aligned in time.

Graves et al., Connectionist Temporal Classification, 2006.
"""

import jax
import jax.numpy as jnp

from keraunos.core.graph import Tensor, op

IMPOSSIBLE = -1e5  # the logarithm of a probability of 0; finite, so that gradients are

__all__ = ["ctc_loss"]


@op
def ctc_loss(
    target: Tensor,
    output: Tensor,
    target_length: Tensor,
    output_length: Tensor,
    mask_index: int = 0,
):
    """Minus the log-probability that the frames of `output` spell `target`.

    Frames spell a word if it is left when repetitions, and then blanks, are struck out.

    Shapes: labels `(batch, length)` and logits `(batch, frames, classes)` to `(batch,)`.

    Args:
        target_length, output_length: How many labels and frames of each are real, `(batch,)`.
        mask_index: The class that is the blank.
    """
    target, output = jnp.asarray(target).astype("int32"), jnp.asarray(output)
    if output.dtype != "float64":
        output = output.astype("float32")
    if target.ndim != 2 or output.ndim != 3:
        raise ValueError(
            "ctc_loss needs labels of shape (batch, length) and logits of shape (batch, frames, "
            f"classes), got target of shape {target.shape} and output of shape {output.shape}."
        )
    states, may_skip = _states(target, mask_index)
    logs = jax.nn.log_softmax(output, axis=-1)
    logs = jnp.take_along_axis(logs, states[:, None, :], axis=-1)  # (batch, frames, states)
    first = jnp.arange(states.shape[1]) < 2
    start = jnp.where(first, logs[:, 0], IMPOSSIBLE)

    def step(reached, frame):
        log, real = frame
        before = lambda n: jnp.pad(reached[:, :-n], ((0, 0), (n, 0)), constant_values=IMPOSSIBLE)
        skipped = before(2) + jnp.where(may_skip, 0, IMPOSSIBLE)
        ways = jnp.logaddexp(jnp.logaddexp(reached, before(1)), skipped)
        return jnp.where(real[:, None], ways + log, reached), None

    real = jnp.arange(output.shape[1])[:, None] < jnp.asarray(output_length)
    reached, _ = jax.lax.scan(step, start, (jnp.moveaxis(logs, 1, 0)[1:], real[1:]))
    last = 2 * jnp.asarray(target_length).astype("int32")[:, None]
    at = lambda place: jnp.take_along_axis(reached, jnp.maximum(place, 0), axis=1)[:, 0]
    on_label = jnp.where(last[:, 0] > 0, at(last - 1), IMPOSSIBLE)
    return -jnp.logaddexp(at(last), on_label)


def _states(target: jax.Array, blank: int) -> tuple[jax.Array, jax.Array]:
    """The labels with blanks between and around them, and where a blank may be left out."""
    batch, length = target.shape
    between = jnp.full((batch, length, 1), blank, target.dtype)
    pairs = jnp.concatenate([between, target[..., None]], axis=-1).reshape(batch, 2 * length)
    states = jnp.concatenate([pairs, between[:, :1, 0]], axis=1)
    two_before = jnp.pad(states[:, :-2], ((0, 0), (2, 0)), constant_values=blank)
    return states, (states != blank) & (states != two_before)
