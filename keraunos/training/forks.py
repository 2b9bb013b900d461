"""A process that was forked off one that computes cannot compute: threads do not come along."""

import os
import sys

_lame = False


def _look() -> None:
    """In the child: whether the parent had begun to compute. JAX tells it by no public name."""
    global _lame
    bridge = sys.modules.get("jax._src.xla_bridge")
    _lame = getattr(bridge, "backends_are_initialized", lambda: True)()


os.register_at_fork(after_in_child=_look)


def check() -> None:
    """Raise where computing would wait forever."""
    if _lame:
        raise RuntimeError(
            "This process was forked off one that had computed with JAX. A fork does not take "
            "JAX's threads along, so computing here would hang. Start processes by "
            "`multiprocessing.get_context('spawn')`, or before anything is computed; models can be "
            "sent to them."
        )
