"""Datasets of the images, texts and sounds in a folder, whose sub-folders are the classes."""

import os
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keraunos.core import config, console
from keraunos.data import AUTOTUNE, Dataset
from keraunos.utils.images import _centre, load_img
from keraunos.utils.sampling import INTERPOLATIONS, resized


@dataclass(frozen=True)
class _Kind:
    """What a function looks for, in the words of its messages."""

    one: str
    many: str
    formats: str
    endings: tuple[str, ...]
    contents: str
    article: str = ""


_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_IMAGES = _Kind("image", "images", f"formats: {_PICTURES}", _PICTURES, "images")
_TEXTS = _Kind("text", "text files", "format: .txt", (".txt",), "text samples")
_SOUNDS = _Kind(
    "audio", "audio files", f"format(s): {('.wav',)}", (".wav",), "audio samples", "The "
)


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A dataset of the images in a folder: BMP, GIF (the first picture), JPEG, PNG.

    The files are read when they are needed, by several threads, ahead of their use.

    Args:
        labels: "inferred" from the names of sub-folders, None for none, or a list with one for
            each file, in order of paths.
        label_mode: "int", "binary", "categorical", or None for no labels.
        class_names: Names of sub-folders, in the order of their labels; sorted by default.
        color_mode: "rgb", "rgba" or "grayscale": 3, 4 or 1 channels.
        batch_size: None for single samples.
        image_size: `(height, width)` that images are resized to.
        shuffle: Whether files come in an order of their own in each epoch; else sorted.
        seed: Of the orders, and of the split.
        validation_split: Share of the files, the last ones in order of `seed`, for validation.
        subset: "training", "validation", or "both" for a tuple of both datasets.
        interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5",
            "gaussian" or "mitchellcubic".
        follow_links: Whether to look into folders that are links.
        crop_to_aspect_ratio, pad_to_aspect_ratio: Whether images are cut, or get black edges,
            rather than be distorted.
        format: "tf" or "grain", which give the same here: a `keras.data.Dataset`.
        verbose: Whether to print how many files there are.

    Returns:
        A dataset of `(images, labels)`, with `class_names` and `file_paths`. Images are float32,
        0 to 255, `(batch, height, width, channels)`. Labels are int32 `(batch,)`, of mode
        "binary" float32 `(batch, 1)`, of mode "categorical" float32 `(batch, classes)`.
    """
    if color_mode not in ("rgb", "rgba", "grayscale"):
        raise ValueError(
            '`color_mode` must be one of {"rgb", "rgba", "grayscale"}. Received: '
            f"color_mode={color_mode}"
        )
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"Argument `interpolation` should be one of {INTERPOLATIONS}. Received: "
            f"interpolation={interpolation}"
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "Only one of `pad_to_aspect_ratio`, `crop_to_aspect_ratio` can be set to `True`."
        )
    size = tuple(image_size) if np.ndim(image_size) == 1 else ()
    if len(size) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in size):
        raise ValueError(f"`image_size` must be (height, width), got {image_size!r}.")
    first = config.standardize_data_format(data_format) == "channels_first"
    fit = _cut if crop_to_aspect_ratio else _widened if pad_to_aspect_ratio else lambda x, _: x

    def read(path: str) -> np.ndarray:
        image = resized(fit(_picture(path, color_mode), size), size, interpolation)
        return image.transpose(2, 0, 1) if first else image

    return _datasets(
        _IMAGES, directory, labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, verbose, read, format,
    )  # fmt: skip


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """A dataset of the `.txt` files in a folder, in UTF-8.

    Args: as of `image_dataset_from_directory`, and
        max_length: Texts are cut to this many characters.

    Returns:
        A dataset of `(texts, labels)`; texts are `str` in arrays of objects `(batch,)`.
    """

    def read(path: str) -> str:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            return file.read(-1 if max_length is None else max_length)

    return _datasets(
        _TEXTS, directory, labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, verbose, read, format,
    )  # fmt: skip


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """A dataset of the `.wav` files in a folder: PCM of 8, 16, 24 or 32 bits.

    Args: as of `image_dataset_from_directory`, and
        sampling_rate: In Hz, that sounds are brought to; as in their files by default.
        output_sequence_length: Samples that sounds are cut or filled with zeros to; as many as
            the longest of the batch has by default.
        ragged: Whether a batch is an array of objects instead, sounds of their own length.

    Returns:
        A dataset of `(sounds, labels)`; sounds are float32, -1 to 1, `(batch, samples, channels)`.
    """
    if sampling_rate is not None and not isinstance(sampling_rate, int):
        raise ValueError(
            f"`sampling_rate` should have an integer value. Received: sampling_rate={sampling_rate}"
        )
    if sampling_rate is not None and sampling_rate <= 0:
        raise ValueError(
            f"`sampling_rate` should be higher than 0. Received: sampling_rate={sampling_rate}"
        )
    if ragged and output_sequence_length is not None:
        raise ValueError("Cannot set both `ragged` and `output_sequence_length`")
    length = output_sequence_length

    def read(path: str) -> Any:
        sound, rate = _sound(path)
        if sampling_rate is not None and rate != sampling_rate:
            sound = resized(sound, [round(len(sound) * sampling_rate / rate)], "lanczos5", True)
        if length is not None:
            sound = np.pad(sound[:length], ((0, max(length - len(sound), 0)), (0, 0)))
        if not ragged or batch_size is None:
            return sound
        whole = np.empty((), object)  # not to be joined with others
        whole[()] = sound
        return whole

    return _datasets(
        _SOUNDS, directory, labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, verbose, read,
        batch="batch" if ragged else "padded_batch",
    )  # fmt: skip


def _datasets(
    kind: _Kind, directory: Any, labels: Any, label_mode: Any, class_names: Any, batch_size: Any,
    shuffle: bool, seed: Any, validation_split: Any, subset: Any, follow_links: bool,
    verbose: bool, read: Callable, format: str = "tf", batch: str = "batch",
) -> Any:  # fmt: skip
    """A dataset, or both, of what `read` makes of the files, and their labels."""
    if format not in ("tf", "grain"):
        raise ValueError(f'`format` should be either "tf" or "grain". Received: format={format}')
    _check(kind, labels, label_mode, class_names)
    _check_split(validation_split, subset, shuffle, seed)
    seed = np.random.randint(10**6) if seed is None else seed
    if labels is None or label_mode is None:
        labels = label_mode = None
    paths, labels, names = _index(directory, labels, class_names, kind.endings, follow_links)
    if verbose:
        classes = "" if labels is None else f" belonging to {len(names)} classes"
        console.say(f"Found {len(paths)} files{classes}.")
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(
            'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: '
            f"class_names={names}"
        )
    codes = None if labels is None else _encoded(labels, label_mode, len(names))
    order = np.arange(len(paths))
    if shuffle:
        order = np.random.RandomState(seed).permutation(order)
    held = int(validation_split * len(paths)) if validation_split else 0
    rows = {"training": order[: len(order) - held], "validation": order[len(order) - held :]}
    made = []
    for part in ("training", "validation") if subset == "both" else (subset,):
        chosen = order if part is None else rows[part]
        if verbose and part is not None:
            console.say(f"Using {len(chosen)} files for {part}.")
        if not len(chosen):
            which = f"{part} " if subset == "both" else ""
            raise ValueError(
                f"No {which}{kind.many} found in directory {directory}. Allowed {kind.formats}"
            )
        files = np.array(paths, object)[chosen]
        mixed = shuffle and not (subset == "both" and part == "validation")
        dataset = _pipeline(files, None if codes is None else codes[chosen], read, mixed, seed)
        if batch_size is not None:
            dataset = getattr(dataset, batch)(batch_size)
        dataset = dataset.prefetch(AUTOTUNE)
        dataset.class_names, dataset.file_paths = names, list(files)
        made.append(dataset)
    return made[0] if len(made) == 1 else tuple(made)


def _pipeline(files: Any, codes: Any, read: Callable, shuffle: bool, seed: int) -> Dataset:
    dataset = Dataset.from_tensor_slices(files if codes is None else (files, codes))
    if shuffle:
        dataset = dataset.shuffle(seed=seed)  # of names: nothing is read for it
    if codes is None:
        return dataset.map(read, AUTOTUNE)
    return dataset.map(lambda path, code: (read(path), code), AUTOTUNE)


def _check(kind: _Kind, labels: Any, label_mode: Any, class_names: Any) -> None:
    if isinstance(labels, str) and labels != "inferred":
        raise ValueError(
            f"{kind.article}`labels` argument should be a list/tuple of integer labels, of the "
            f"same size as the number of {kind.one} files in the target directory. If you wish to "
            "infer the labels from the subdirectory names in the target directory, pass "
            '`labels="inferred"`. If you wish to get a dataset that only contains '
            f"{kind.contents} (no labels), pass `labels=None`. Received: labels={labels}"
        )
    if class_names is not None and labels is None:
        raise ValueError(
            "When `labels=None` (no labels), argument `class_names` cannot be specified."
        )
    if class_names is not None and not isinstance(labels, str):
        raise ValueError(
            'You can only pass `class_names` if `labels="inferred"`. Received: '
            f"labels={labels}, and class_names={class_names}"
        )
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(
            '`label_mode` argument must be one of "int", "categorical", "binary", or None. '
            f"Received: label_mode={label_mode}"
        )


def _check_split(share: Any, subset: Any, shuffle: bool, seed: Any) -> None:
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"`validation_split` must be between 0 and 1, received: {share}")
    if bool(share) != bool(subset):
        raise ValueError("If `subset` is set, `validation_split` must be set, and inversely.")
    if subset not in ("training", "validation", "both", None):
        raise ValueError(
            f'`subset` must be either "training", "validation" or "both", received: {subset}'
        )
    if share and shuffle and seed is None:
        raise ValueError(
            "If using `validation_split` and shuffling the data, you must provide a `seed` "
            "argument, to make sure that there is no overlap between the training and validation "
            "subset."
        )


def _index(
    directory: Any, labels: Any, class_names: Any, endings: tuple[str, ...], follow: bool
) -> tuple[list[str], Any, Any]:
    """Paths in order, their labels, and the names of classes."""
    root = os.fspath(directory)
    within = sorted(os.listdir(root))
    if not isinstance(labels, str):
        paths = list(_files(root, endings, follow))
        if labels is not None and len(labels) != len(paths):
            raise ValueError(
                "Expected the lengths of `labels` to match the number of files in the target "
                f"directory. len(labels) is {len(labels)} while we found {len(paths)} files in "
                f"directory {directory}."
            )
        names = None if labels is None else [str(label) for label in sorted(set(labels))]
        return paths, None if labels is None else np.array(labels), names
    folders = [n for n in within if n[0] != "." and os.path.isdir(os.path.join(root, n))]
    names = folders if class_names is None else list(class_names)
    if not set(names) <= set(folders):
        raise ValueError(
            "The `class_names` passed did not match the names of the subdirectories of the target "
            f"directory. Expected: {folders} (or a subset of it), but received: "
            f"class_names={class_names}"
        )
    found = [list(_files(os.path.join(root, name), endings, follow)) for name in names]
    numbers = np.repeat(np.arange(len(names)), [len(paths) for paths in found])
    return [path for paths in found for path in paths], numbers, names


def _files(root: str, endings: tuple[str, ...], follow: bool) -> Iterator[str]:
    for folder, _, names in sorted(os.walk(root, followlinks=follow)):
        for name in sorted(names):
            if name.lower().endswith(endings):
                yield os.path.join(folder, name)


def _encoded(labels: np.ndarray, label_mode: str, count: int) -> np.ndarray:
    if label_mode == "int":
        return labels.astype("int32")
    if label_mode == "binary":
        return labels.astype("float32")[:, None]
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        raise ValueError(
            f"`labels` of mode 'categorical' must be from 0 to {count - 1}, as there are {count} "
            f"different ones, got {sorted(set(labels.tolist()))}."
        )
    return np.eye(count, dtype="float32")[labels]


def _picture(path: str, color_mode: str) -> np.ndarray:
    try:
        image = np.asarray(load_img(path, color_mode))
    except OSError as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    image = image >> 8 if image.dtype.itemsize > 1 else image  # of 16 bits
    return image[:, :, None] if image.ndim == 2 else image


def _cut(image: np.ndarray, size: tuple) -> np.ndarray:
    top, left, height, width = _centre(*image.shape[:2], *size)
    return image[top : top + height, left : left + width]


def _widened(image: np.ndarray, size: tuple) -> np.ndarray:
    """The image in the middle of black that has the target's proportions."""
    height, width = image.shape[:2]
    missing = (
        max(width * size[0] // size[1] - height, 0),
        max(height * size[1] // size[0] - width, 0),
    )
    return np.pad(image, [*((n // 2, n // 2) for n in missing), (0, 0)])  # evenly, as Keras does


def _sound(path: str) -> tuple[np.ndarray, int]:
    """The samples of a WAV file, float32 `(n, channels)`, and how many there are in a second."""
    try:
        with wave.open(path, "rb") as file:
            width, channels = file.getsampwidth(), file.getnchannels()
            rate, data = file.getframerate(), file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} cannot be read as WAV of PCM samples: {error}") from error
    if width > 4:
        raise ValueError(f"{path} has samples of {8 * width} bits; 8, 16, 24 and 32 can be read.")
    samples = np.frombuffer(data, "uint8")
    samples = samples[: len(samples) // (width * channels) * width * channels].reshape(-1, width)
    highest = np.zeros((len(samples), 4), "uint8")
    highest[:, 4 - width :] = samples ^ 128 if width == 1 else samples  # 8 bits have no sign
    values = highest.view("<i4")[:, 0] / 2**31
    return values.astype("float32").reshape(-1, channels), rate
