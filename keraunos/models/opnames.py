"""What files of Keras call an operation: the private module and class of it there.

`keras.ops.mean` is `{"module": "keras.src.ops.numpy", "class_name": "Mean"}`.
"""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from keraunos import ops
from keraunos.core.naming import snake_case
from keraunos.ops import core, einops, image, linalg, math, nn, numpy

# Where Keras keeps an operation; the first module that has it.
_MODULES: dict[str, ModuleType] = {
    "numpy": numpy,
    "nn": nn,
    "linalg": linalg,
    "math": math,
    "core": core,
    "image": image,
    "einops": einops,
}
_ELSEWHERE = {"logdet": "math", "polar": "nn", "view_as_complex": "math", "view_as_real": "math"}
# Classes whose name is not the function's in camel case.
_CLASSES = {
    "allclose": "AllClose",
    "batch_normalization": "BatchNorm",
    "cdist": "CDist",
    "ctc_decode": "CTCDecode",
    "ctc_loss": "CTCLoss",
    "fft": "FFT",
    "fft2": "FFT2",
    "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2",
    "irfft": "IRFFT",
    "isin": "IsIn",
    "istft": "ISTFT",
    "jvp": "JVP",
    "layer_normalization": "LayerNorm",
    "psnr": "PSNR",
    "rfft": "RFFT",
    "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV",
    "rms_normalization": "RMSNorm",
    "searchsorted": "SearchSorted",
    "ssim": "SSIM",
    "stft": "STFT",
    "svd": "SVD",
}
# Arguments that Keras takes for settings of the operation though they may be tensors, or the
# other way round.
_SETTINGS = {"clip": {"x_min", "x_max"}}
_ARGUMENTS = {"get_item": {"key"}}
_FUNCTIONS = {name: function for function, name in _CLASSES.items()}


def written(fn: Callable) -> tuple[str, str]:
    """The module and the class that a file names for an operation."""
    name = fn.__name__
    holds = (key for key, module in _MODULES.items() if getattr(module, name, None) is fn)
    module = _ELSEWHERE.get(name) or next(holds, "numpy")
    camel = "".join(word.capitalize() for word in name.split("_"))
    return f"keras.src.ops.{module}", _CLASSES.get(name, camel)


def divided(fn: Callable, given: dict[str, Any]) -> tuple[list, dict[str, Any]]:
    """The arguments of a call: those that a file has with the call, and with the operation."""
    name = fn.__name__
    called = (fn.tensor_arguments | _ARGUMENTS.get(name, set())) - _SETTINGS.get(name, set())  # type: ignore[attr-defined]
    variadic = {
        p.name
        for p in inspect.signature(fn).parameters.values()
        if p.kind is inspect.Parameter.VAR_POSITIONAL
    }
    args: list[Any] = []
    for key, value in given.items():
        if key in called:
            args += value if key in variadic else [value]
    return args, {key: value for key, value in given.items() if key not in called}


def bound(fn: Callable, config: dict[str, Any]) -> Callable:
    """The operation with the settings that a file has for it."""
    parameters = inspect.signature(fn).parameters
    settings = {k: value for k, value in config.items() if k in parameters and k != "name"}
    variadic = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())
    first = [settings.pop(k) for k in list(parameters) if variadic and k in settings]

    def call(*args: Any, **kwargs: Any) -> Any:
        if fn is ops.get_item and isinstance(args[1], list):  # JSON has no tuples
            args = (args[0], tuple(args[1]))
        return fn(*first, *args, **kwargs, **settings)

    return call


def found(module: str, class_name: str) -> Callable | None:
    """The operation that a file names, or None."""
    name = _FUNCTIONS.get(class_name) or snake_case(class_name)
    for home in (_MODULES.get(module.rpartition(".")[2]), ops):
        fn = getattr(home, name, None)
        if hasattr(fn, "tensor_arguments"):
            return fn
    return None
