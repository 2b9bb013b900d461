"""What files of Keras call an operation: the private module and class of it there.

`keras.ops.mean` is `{"module": "keras.src.ops.numpy", "class_name": "Mean"}`.
"""

from collections.abc import Callable
from types import ModuleType

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
_FUNCTIONS = {name: function for function, name in _CLASSES.items()}


def written(fn: Callable) -> tuple[str, str]:
    """The module and the class that a file names for an operation."""
    name = fn.__name__
    holds = (key for key, module in _MODULES.items() if getattr(module, name, None) is fn)
    module = _ELSEWHERE.get(name) or next(holds, "numpy")
    camel = "".join(word.capitalize() for word in name.split("_"))
    return f"keras.src.ops.{module}", _CLASSES.get(name, camel)


def found(module: str, class_name: str) -> Callable | None:
    """The operation that a file names, or None."""
    name = _FUNCTIONS.get(class_name) or snake_case(class_name)
    for home in (_MODULES.get(module.rpartition(".")[2]), ops):
        fn = getattr(home, name, None)
        if hasattr(fn, "tensor_arguments"):
            return fn
    return None
