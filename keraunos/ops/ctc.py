"""Connectionist temporal classification: sequences of labels that are not aligned in time.

Graves et al., Connectionist Temporal Classification, 2006.
"""

import functools

import jax
import jax.numpy as jnp

from keraunos.core.graph import Tensor, op

IMPOSSIBLE = -1e5  # the logarithm of a probability of 0; finite, so that gradients are

__all__ = ["ctc_decode", "ctc_loss"]


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


@op
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
):
    """The words that the frames of `inputs` most likely spell, and their scores.

    Shapes: logits `(batch, frames, classes)` to labels `(paths, batch, frames)`, padded with -1,
    and scores `(batch, paths)`: for "beam_search" logarithms of probabilities, for "greedy" minus
    the sum of the largest logits.

    Args:
        strategy: "greedy" takes the best class of every frame; "beam_search" sums over all ways
            to spell a word, but follows only the `beam_width` best beginnings.
        top_paths: How many words "beam_search" gives.
        merge_repeated: Whether "greedy" strikes out repetitions.
        mask_index: The class that is the blank.
    """
    x = jnp.asarray(inputs)
    x = x.astype(jnp.promote_types(x.dtype, "float32"))
    lengths = jnp.asarray(sequence_lengths).astype("int32")
    if strategy == "greedy":
        return _greedy(x, lengths, merge_repeated, mask_index)
    if strategy != "beam_search":
        raise ValueError(f"`strategy` must be 'greedy' or 'beam_search', got {strategy!r}.")
    search = functools.partial(_beam_search, width=beam_width, paths=top_paths, blank=mask_index)
    words, scores = jax.vmap(search)(jax.nn.log_softmax(x), lengths)
    return jnp.moveaxis(words, 1, 0), scores


def _greedy(x, lengths, merge_repeated: bool, blank: int):
    best = jnp.argmax(x, axis=-1).astype("int32")
    frames = jnp.arange(x.shape[1])
    real = frames < lengths[:, None]
    keep = real & (best != blank)
    if merge_repeated:
        keep &= jnp.pad(best[:, 1:] != best[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    order = jnp.argsort(~keep, axis=1, stable=True)
    words = jnp.take_along_axis(jnp.where(keep, best, -1), order, axis=1)
    score = -jnp.sum(jnp.where(real, jnp.max(x, axis=-1), 0), axis=1, keepdims=True)
    return words[None], score


def _beam_search(logs, length, width: int, paths: int, blank: int):
    """The best words of one sequence, by prefix beam search (Hannun et al., 2014).

    A beam is a word with two probabilities: of being spelt with a blank last, and without.
    A beam made longer may be the word of another beam; then their probabilities are added.
    """
    frames, classes = logs.shape
    none = -jnp.inf
    words = jnp.full((width, frames), -1, "int32")
    start = jnp.full(width, none, logs.dtype)
    beams = words, jnp.zeros(width, "int32"), start.at[0].set(0), start

    def step(beams, frame):
        log, real = frame
        words, sizes, blanks, others = beams
        total = jnp.logaddexp(blanks, others)
        last = jnp.take_along_axis(words, jnp.maximum(sizes - 1, 0)[:, None], axis=1)[:, 0]
        stay_blank = total + log[blank]
        stay = jnp.where(sizes > 0, others + log[last], none)
        new = jnp.arange(classes)
        repeats = (new == last[:, None]) & (sizes > 0)[:, None]
        longer = jnp.where(repeats, blanks[:, None], total[:, None]) + log
        longer = longer.at[:, blank].set(none)
        # child[i, j]: beam j is beam i and one label more
        shorter = jnp.where(jnp.arange(frames) < sizes[:, None] - 1, words, -1)
        child = (sizes[:, None] + 1 == sizes) & jnp.all(words[:, None] == shorter, axis=-1)
        child &= (total > none)[:, None] & (total > none)
        gained = jnp.where(child, longer[:, jnp.maximum(last, 0)], none)
        stay = jnp.logaddexp(stay, jax.nn.logsumexp(gained, axis=0))
        taken = jnp.any(child[:, :, None] & (last[:, None] == new), axis=1)
        longer = jnp.where(taken, none, longer)

        scores = jnp.concatenate([jnp.logaddexp(stay_blank, stay), longer.ravel()])
        _, chosen = jax.lax.top_k(scores, width)
        grown = chosen >= width
        source = jnp.where(grown, (chosen - width) // classes, chosen)
        label = jnp.where(grown, (chosen - width) % classes, -1)
        old = sizes[source]
        here = grown[:, None] & (jnp.arange(frames) == old[:, None])
        after = (
            jnp.where(here, label[:, None], words[source]),
            old + grown,
            jnp.where(grown, none, stay_blank[source]),
            jnp.where(grown, scores[chosen], stay[source]),
        )
        return jax.tree.map(lambda a, b: jnp.where(real, a, b), after, beams), None

    real = jnp.arange(frames) < length
    (words, _, blanks, others), _ = jax.lax.scan(step, beams, (logs, real))
    scores, best = jax.lax.top_k(jnp.logaddexp(blanks, others), paths)
    return words[best], scores
