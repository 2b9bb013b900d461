"""Public `keras.config`: the settings of the process."""

from keraunos.core.config import (
    backend,
    epsilon,
    floatx,
    get,
    image_data_format,
    put,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from keraunos.core.console import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from keraunos.core.dtypes import dtype_policy, set_dtype_policy


def set_backend(backend: str) -> None:
    """Choose the engine; there is one, "jax"."""
    if backend != "jax":
        raise ValueError(f"keraunos computes with JAX alone; the backend cannot be {backend!r}.")


def is_nnx_enabled() -> bool:
    """Whether layers are Flax NNX modules; never."""
    return False


def enable_flash_attention() -> None:
    """Let attention use a fused kernel where there is one for it."""
    put("flash_attention", None)


def disable_flash_attention() -> None:
    """Never use a fused kernel for attention."""
    put("flash_attention", False)


def is_flash_attention_enabled() -> bool | None:
    """False after `disable_flash_attention()`; None where each call may decide."""
    return get("flash_attention")


def enable_traceback_filtering() -> None:
    """Leave the library's own lines out of tracebacks."""
    put("traceback_filtering", True)


def disable_traceback_filtering() -> None:
    """Show the library's own lines in tracebacks."""
    put("traceback_filtering", False)


def is_traceback_filtering_enabled() -> bool:
    """Whether the library's own lines are left out of tracebacks."""
    return get("traceback_filtering")


def enable_unsafe_deserialization() -> None:
    """Let saved files bring code of their own, for the rest of the process."""
    put("unsafe_deserialization", True)


def max_epochs() -> int | None:
    """How many epochs training runs at most; None for as many as asked."""
    return get("max_epochs")


def set_max_epochs(max_epochs: int | None) -> None:
    """Set what `max_epochs()` returns, as for a quick try of a long script."""
    put("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """How many steps an epoch has at most; None for all of them."""
    return get("max_steps_per_epoch")


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Set what `max_steps_per_epoch()` returns, as for a quick try of a long script."""
    put("max_steps_per_epoch", max_steps_per_epoch)


__all__ = [
    "backend", "disable_flash_attention", "disable_interactive_logging",
    "disable_traceback_filtering", "dtype_policy", "enable_flash_attention",
    "enable_interactive_logging", "enable_traceback_filtering", "enable_unsafe_deserialization",
    "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled",
    "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled",
    "max_epochs", "max_steps_per_epoch", "set_backend", "set_dtype_policy", "set_epsilon",
    "set_floatx", "set_image_data_format", "set_max_epochs", "set_max_steps_per_epoch",
]  # fmt: skip
