"""`keras.preprocessing.image`: pictures changed at random, and batches of them."""

import os
import threading
import warnings
from typing import Any

import numpy as np

from keraunos.core.fields import DataFormat, fields, needs, owned
from keraunos.data import PyDataset
from keraunos.legacy.pictures import (
    AXES,
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    flip_axis,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
)
from keraunos.utils.images import array_to_img, img_to_array, load_img, save_img

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff", ".gif", ".webp")
_TINY = 1e-6

# Batches of pictures --------------------------------------------------------------------------


class Iterator(PyDataset):
    """Batches of pictures by number, and without end one after the other.

    Args:
        n: How many pictures there are.
        seed: Of the order, and of what is drawn for each batch.
    """

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None):
        super().__init__()
        self.n = self.samples = self.nb_sample = n
        self.batch_size, self.shuffle, self.seed = batch_size or n, shuffle, seed
        self.batch_index = self.total_batches_seen = 0
        self.index_array: Any = None
        self.lock = threading.Lock()

    def _set_index_array(self) -> None:
        order = np.random if self.seed is None else np.random.RandomState(self._round())
        self.index_array = order.permutation(self.n) if self.shuffle else np.arange(self.n)

    def _round(self) -> int:
        return (self.seed or 0) + self.total_batches_seen

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise ValueError(f"There are {len(self)} batches, got the number {index}.")
        if self.seed is not None:
            np.random.seed(self._round())
        self.total_batches_seen += 1
        if self.index_array is None:
            self._set_index_array()
        order: Any = self.index_array
        first = self.batch_size * index
        return self._get_batches_of_transformed_samples(order[first : first + self.batch_size])

    def on_epoch_end(self) -> None:
        self._set_index_array()

    def reset(self) -> None:
        self.batch_index = 0

    def __iter__(self) -> "Iterator":
        return self

    def __next__(self) -> Any:
        with self.lock:
            if self.batch_index == 0:
                self._set_index_array()
            index, self.batch_index = self.batch_index, (self.batch_index + 1) % max(len(self), 1)
        return self[index]

    next = __next__

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must say what is in a batch.")


class _Pictures(Iterator):
    """Pictures out of a list of places, changed by a generator; also saved, if asked for."""

    def __init__(
        self, generator: Any, n: int, batch_size: int, shuffle: bool, seed: int | None,
        dtype: Any = None, save_to_dir: Any = None, save_prefix: str = "", save_format: str = "png",
    ):  # fmt: skip
        super().__init__(n, batch_size, shuffle, seed)
        self.image_data_generator, self.dtype = generator, dtype or generator.dtype
        self.data_format = generator.data_format
        self.save_to_dir, self.save_prefix = save_to_dir, save_prefix
        self.save_format = save_format

    def _picture(self, i: int) -> np.ndarray:
        raise NotImplementedError

    def _targets(self, places: np.ndarray, pictures: np.ndarray) -> tuple:
        raise NotImplementedError

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        change = self.image_data_generator
        pictures = []
        for i in index_array:
            x = np.asarray(self._picture(int(i)), self.dtype)
            x = change.apply_transform(x, change.get_random_transform(x.shape))
            pictures.append(change.standardize(x))
        batch = np.stack(pictures).astype(self.dtype)
        if self.save_to_dir:
            for i, x in zip(index_array, batch):
                number = np.random.randint(10**7)
                name = f"{self.save_prefix}_{i}_{number}.{self.save_format}"
                save_img(os.path.join(self.save_to_dir, name), x, data_format=self.data_format)
        rest = self._targets(index_array, batch)
        return (batch, *rest) if rest else batch


class NumpyArrayIterator(_Pictures):
    """Batches of an array of pictures; made by `ImageDataGenerator.flow`."""

    def __init__(
        self, x: Any, y: Any, image_data_generator: Any, batch_size: int = 32,
        shuffle: bool = False, sample_weight: Any = None, seed: int | None = None,
        data_format: str | None = None, subset: str | None = None, dtype: Any = None, **saving: Any,
    ):  # fmt: skip
        x, *more = x if isinstance(x, (tuple, list)) else [x]
        self.x_misc = [np.asarray(a) for part in more for a in _several(part)]
        self.x = np.asarray(x)
        if self.x.ndim != 4:
            raise ValueError(
                "ImageDataGenerator.flow needs pictures of 4 axes, `(samples, rows, columns, "
                f"channels)`, got an array of shape {self.x.shape}."
            )
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        for name, part in (("y", self.y), ("sample_weight", self.sample_weight)):
            if part is not None and len(part) != len(self.x):
                raise ValueError(
                    f"`x` and `{name}` must have the same length, got {len(self.x)} and "
                    f"{len(part)}."
                )
        if subset is not None:
            cut = int(len(self.x) * image_data_generator.validation_split)
            part = _part(subset, slice(None, cut), slice(cut, None))
            self.x, self.x_misc = self.x[part], [a[part] for a in self.x_misc]
            self.y = None if self.y is None else self.y[part]
            weight = self.sample_weight
            self.sample_weight = None if weight is None else weight[part]
        super().__init__(
            image_data_generator, len(self.x), batch_size, shuffle, seed, dtype, **saving
        )

    def _picture(self, i: int) -> np.ndarray:
        return self.x[i]

    def _targets(self, places: np.ndarray, pictures: np.ndarray) -> tuple:
        parts = (self.y, self.sample_weight)
        return tuple(part[places] for part in parts if part is not None)

    def _get_batches_of_transformed_samples(self, index_array: np.ndarray) -> Any:
        batch = super()._get_batches_of_transformed_samples(index_array)
        if not self.x_misc:
            return batch
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        inputs = [x, *(a[index_array] for a in self.x_misc)]
        return (inputs, *rest) if rest else inputs


def _several(part: Any) -> list:
    return list(part) if isinstance(part, (list, tuple)) else [part]


def _part(subset: str, validation: Any, training: Any) -> Any:
    if subset not in ("training", "validation"):
        raise ValueError(f"`subset` must be 'training' or 'validation', got {subset!r}.")
    return validation if subset == "validation" else training


class _Files(_Pictures):
    """Pictures in files, with classes or other targets."""

    def __init__(
        self, generator: Any, filepaths: list[str], targets: Any, target_size: Any,
        color_mode: str, class_mode: Any, interpolation: str, weights: Any = None, **options: Any,
    ):  # fmt: skip
        super().__init__(generator, len(filepaths), **options)
        channels = {"grayscale": 1, "rgb": 3, "rgba": 4}.get(color_mode)
        if channels is None:
            raise ValueError(f"`color_mode` must be grayscale, rgb or rgba, got {color_mode!r}.")
        self.filepaths, self.labels, self.sample_weight = filepaths, targets, weights
        self.target_size, self.color_mode = tuple(target_size), color_mode
        self.class_mode, self.interpolation = class_mode, interpolation
        first = self.data_format == "channels_first"
        size = self.target_size
        self.image_shape = (channels, *size) if first else (*size, channels)

    def _picture(self, i: int) -> np.ndarray:
        img = load_img(self.filepaths[i], self.color_mode, self.target_size, self.interpolation)
        return img_to_array(img, data_format=self.data_format, dtype=self.dtype)

    def _targets(self, places: np.ndarray, pictures: np.ndarray) -> tuple:
        if self.class_mode is None:
            return ()
        weight = () if self.sample_weight is None else (self.sample_weight[places],)
        return (self._target(places, pictures), *weight)

    def _target(self, places: np.ndarray, pictures: np.ndarray) -> Any:
        if self.class_mode == "input":
            return pictures.copy()
        if self.class_mode == "multi_output":
            return [np.asarray(part)[places] for part in self.labels]
        chosen = [self.labels[i] for i in places]
        if self.class_mode == "raw":
            return np.array(chosen)
        if self.class_mode != "categorical":
            return np.array(chosen, self.dtype)
        y = np.zeros((len(chosen), self.num_classes), self.dtype)
        for row, one in zip(y, chosen):
            row[one] = 1
        return y

    num_classes: int
    class_indices: dict[str, int]

    @property
    def classes(self) -> list:
        return self.labels


class DirectoryIterator(_Files):
    """Batches of the pictures in the folders of a folder, one folder for each class."""

    def __init__(
        self, directory: Any, image_data_generator: Any, target_size: Any = (256, 256),
        color_mode: str = "rgb", classes: Any = None, class_mode: Any = "categorical",
        batch_size: int = 32, shuffle: bool = True, seed: int | None = None,
        data_format: str | None = None, follow_links: bool = False, subset: str | None = None,
        interpolation: str = "nearest", **options: Any,
    ):  # fmt: skip
        _check_mode(class_mode, ("categorical", "binary", "sparse", "input", None))
        self.directory = directory = os.fspath(directory)
        folders = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        names = list(classes or folders)
        self.class_indices = {name: i for i, name in enumerate(names)}
        self.num_classes = self.nb_class = len(names)
        files, labels = [], []
        for name in names:
            found = sorted(_pictures_in(os.path.join(directory, name), follow_links))
            cut = int(len(found) * image_data_generator.validation_split)
            found = found[_part(subset, slice(None, cut), slice(cut, None))] if subset else found
            files += found
            labels += [self.class_indices[name]] * len(found)
        print(f"Found {len(files)} images belonging to {self.num_classes} classes.")
        self.filenames = [os.path.relpath(path, directory) for path in files]
        super().__init__(
            image_data_generator, files, np.array(labels, "int32"), target_size, color_mode,
            class_mode, interpolation, batch_size=batch_size, shuffle=shuffle, seed=seed, **options,
        )  # fmt: skip


def _check_mode(mode: Any, known: tuple) -> None:
    if mode not in known:
        raise ValueError(f"`class_mode` must be one of {', '.join(map(str, known))}, got {mode!r}.")


def _pictures_in(folder: str, follow_links: bool) -> list[str]:
    return [
        os.path.join(root, name)
        for root, _, names in os.walk(folder, followlinks=follow_links)
        for name in names
        if name.lower().endswith(_ENDINGS)
    ]


class DataFrameIterator(_Files):
    """Batches of the pictures whose files a table of pandas names."""

    def __init__(
        self, dataframe: Any, directory: Any = None, image_data_generator: Any = None,
        x_col: str = "filename", y_col: Any = "class", weight_col: Any = None,
        target_size: Any = (256, 256), color_mode: str = "rgb", classes: Any = None,
        class_mode: Any = "categorical", batch_size: int = 32, shuffle: bool = True,
        seed: int | None = None, data_format: Any = None, subset: str | None = None,
        interpolation: str = "nearest", validate_filenames: bool = True, **options: Any,
    ):  # fmt: skip
        modes = ("categorical", "binary", "sparse", "input", "raw", "multi_output", "other", None)
        _check_mode(class_mode, modes)
        class_mode = "raw" if class_mode == "other" else class_mode
        at = lambda name: os.path.join(directory, str(name)) if directory else str(name)
        table = dataframe.copy()
        table[x_col] = table[x_col].map(at)
        if validate_filenames:
            good = table[x_col].map(lambda p: p.lower().endswith(_ENDINGS) and os.path.isfile(p))
            if missing := int((~good).sum()):
                warnings.warn(
                    f"Found {missing} invalid image filename(s) in x_col={x_col!r}. These "
                    "filename(s) will be ignored.",
                    stacklevel=3,
                )
            table = table[good]
        targets: Any = None
        if class_mode in ("categorical", "binary", "sparse"):
            listed = table[y_col].map(lambda v: v if isinstance(v, (list, tuple)) else [v])
            names = list(classes or sorted({name for each in listed for name in each}))
            table = table[listed.map(lambda each: any(name in names for name in each))]
            self.class_indices = {name: i for i, name in enumerate(names)}
            self.num_classes = len(names)
        cut = int(len(table) * image_data_generator.validation_split)
        table = table[_part(subset, slice(None, cut), slice(cut, None))] if subset else table
        if class_mode == "multi_output":
            targets = [np.stack(table[name].to_list()) for name in y_col]
        elif class_mode == "raw":
            targets = table[y_col].to_numpy()
        elif class_mode not in ("input", None):
            number = self.class_indices.get
            targets = [
                [number(n) for n in v if n in self.class_indices]
                if isinstance(v, (list, tuple))
                else number(v)
                for v in table[y_col]
            ]
        weights = None if weight_col is None else table[weight_col].to_numpy()
        files = table[x_col].to_list()
        self.filenames = [os.path.relpath(f, directory) if directory else f for f in files]
        of = f" belonging to {self.num_classes} classes" if hasattr(self, "num_classes") else ""
        print(f"Found {len(files)} validated image filenames{of}.")
        super().__init__(
            image_data_generator, files, targets, target_size, color_mode, class_mode,
            interpolation, weights, batch_size=batch_size, shuffle=shuffle, seed=seed, **options,
        )  # fmt: skip


@fields
class ImageDataGenerator:
    """Pictures changed at random, and scaled, while they are read.

    Args:
        featurewise_center, featurewise_std_normalization, zca_whitening: By the mean, the standard
            deviation, the covariance of the pictures that `fit` was given.
        samplewise_center, samplewise_std_normalization: By those of each picture.
        rotation_range, shear_range: In degrees.
        width_shift_range, height_shift_range: A share of the size below 1, else a number of
            pixels; or a list to choose from.
        brightness_range: Two factors.
        zoom_range: Two factors, or by how much they differ from 1.
        channel_shift_range: In the units of the picture.
        fill_mode: What is outside: "constant" (of `cval`), "nearest", "reflect" or "wrap".
        preprocessing_function: Of one picture, before all others.
        validation_split: Share of the pictures that `subset="validation"` gives.
    """

    featurewise_center: bool = False
    samplewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_std_normalization: bool = False
    zca_whitening: bool = False
    zca_epsilon: float = 1e-6
    rotation_range: float = 0
    width_shift_range: Any = 0.0
    height_shift_range: Any = 0.0
    brightness_range: Any = None
    shear_range: float = 0.0
    zoom_range: Any = 0.0
    channel_shift_range: float = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rescale: float | None = None
    preprocessing_function: Any = None
    data_format: DataFormat = None  # type: ignore[assignment]
    validation_split: float = 0.0
    interpolation_order: int = 1
    dtype: Any = "float32"

    mean: Any = owned()
    std: Any = owned()
    principal_components: Any = owned()

    def __post_init__(self):
        if not 0 <= self.validation_split < 1:
            raise ValueError(
                needs(self, "a share below 1", "validation_split", self.validation_split)
            )
        last = self.data_format == "channels_last"
        self.channel_axis, self.row_axis, self.col_axis = (3, 1, 2) if last else (1, 2, 3)
        zoom = self.zoom_range
        self.zoom_range = (1 - zoom, 1 + zoom) if isinstance(zoom, (int, float)) else tuple(zoom)
        self.featurewise_center = self.featurewise_center or self.featurewise_std_normalization
        self.samplewise_center = self.samplewise_center or self.samplewise_std_normalization
        self.mean = self.std = self.principal_components = None

    def flow(
        self, x: Any, y: Any = None, batch_size: int = 32, shuffle: bool = True,
        sample_weight: Any = None, seed: int | None = None, save_to_dir: Any = None,
        save_prefix: str = "", save_format: str = "png", subset: str | None = None,
        ignore_class_split: bool = False,
    ) -> NumpyArrayIterator:  # fmt: skip
        """Batches of an array of pictures."""
        return NumpyArrayIterator(
            x, y, self, batch_size, shuffle, sample_weight, seed, subset=subset,
            save_to_dir=save_to_dir, save_prefix=save_prefix, save_format=save_format,
        )  # fmt: skip

    def flow_from_directory(self, directory: Any, *args: Any, **kwargs: Any) -> DirectoryIterator:
        """Batches of the pictures in a folder; the arguments of `DirectoryIterator`."""
        return DirectoryIterator(directory, self, *args, **kwargs)

    def flow_from_dataframe(
        self, dataframe: Any, directory: Any = None, *args: Any, **kwargs: Any
    ) -> DataFrameIterator:
        """Batches of the pictures that a table names; the arguments of `DataFrameIterator`."""
        for gone in ("has_ext", "sort", "drop_duplicates"):
            kwargs.pop(gone, None)
        return DataFrameIterator(dataframe, directory, self, *args, **kwargs)

    # One picture ---------------------------------------------------------------------------------

    def standardize(self, x: np.ndarray) -> np.ndarray:
        """Scale a picture, or a batch, as the arguments say."""
        if self.preprocessing_function:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (np.std(x, keepdims=True) + _TINY)
        if self.featurewise_center and self._fitted("featurewise_center", self.mean):
            x = x - self.mean
        std = self.featurewise_std_normalization
        if std and self._fitted("featurewise_std_normalization", self.std):
            x = x / (self.std + _TINY)
        if self.zca_whitening and self._fitted("zca_whitening", self.principal_components):
            flat = x.reshape(-1, int(np.prod(x.shape[-3:])))
            x = (flat @ self.principal_components).reshape(x.shape)
        return x

    def _fitted(self, name: str, value: Any) -> bool:
        if value is None:
            warnings.warn(
                f"This ImageDataGenerator specifies `{name}`, but it hasn't been fit on any "
                "training data. Fit it first by calling `.fit(numpy_data)`.",
                stacklevel=4,
            )
        return value is not None

    def get_random_transform(self, img_shape: Any, seed: int | None = None) -> dict[str, Any]:
        """What is to be done to a picture of this shape, drawn at random."""
        if seed is not None:
            np.random.seed(seed)
        draw = np.random.uniform
        row, col = img_shape[self.row_axis - 1], img_shape[self.col_axis - 1]
        around = lambda reach: draw(-reach, reach) if reach else 0
        zx, zy = (1, 1) if tuple(self.zoom_range) == (1, 1) else draw(*self.zoom_range, size=2)
        brightness = self.brightness_range
        return {
            "theta": around(self.rotation_range),
            "tx": _shift(self.height_shift_range, row),
            "ty": _shift(self.width_shift_range, col),
            "shear": around(self.shear_range),
            "zx": zx,
            "zy": zy,
            "flip_horizontal": bool(self.horizontal_flip and np.random.random() < 0.5),
            "flip_vertical": bool(self.vertical_flip and np.random.random() < 0.5),
            "channel_shift_intensity": around(self.channel_shift_range) or None,
            "brightness": None if brightness is None else draw(*brightness),
        }

    def apply_transform(self, x: np.ndarray, transform_parameters: dict[str, Any]) -> np.ndarray:
        """The picture with that done to it."""
        given = transform_parameters
        moves = {k: given[k] for k in ("theta", "tx", "ty", "shear", "zx", "zy") if k in given}
        axes = (self.row_axis - 1, self.col_axis - 1, self.channel_axis - 1)
        x = apply_affine_transform(
            x, **moves, **dict(zip(AXES, axes)), fill_mode=self.fill_mode, cval=self.cval,
            order=self.interpolation_order,
        )  # fmt: skip
        if given.get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, given["channel_shift_intensity"], axes[2])
        if given.get("flip_horizontal"):
            x = flip_axis(x, axes[1])
        if given.get("flip_vertical"):
            x = flip_axis(x, axes[0])
        if given.get("brightness") is not None:
            x = apply_brightness_shift(x, given["brightness"], False)
        return x

    def random_transform(self, x: np.ndarray, seed: int | None = None) -> np.ndarray:
        """The picture with something done to it at random."""
        return self.apply_transform(x, self.get_random_transform(x.shape, seed))

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Learn mean, deviation and covariance from pictures.

        Args:
            augment: Whether from pictures that are changed at random, `rounds` times each.
        """
        x = np.array(x, self.dtype)
        if x.ndim != 4:
            raise ValueError(f"ImageDataGenerator.fit needs an array of 4 axes, got {x.shape}.")
        if seed is not None:
            np.random.seed(seed)
        if augment:
            x = np.stack([self.random_transform(image) for _ in range(rounds) for image in x])
        axes = (0, self.row_axis, self.col_axis)
        if self.featurewise_center:
            self.mean = np.mean(x, axes, keepdims=True)[0]
            x = x - self.mean
        if self.featurewise_std_normalization:
            self.std = np.std(x, axes, keepdims=True)[0]
            x = x / (self.std + _TINY)
        if self.zca_whitening:
            flat = x.reshape(len(x), -1)
            _, s, vt = np.linalg.svd(flat / np.sqrt(len(flat)))
            s = np.concatenate([s, np.zeros(len(vt) - len(s))])
            scale = 1 / np.sqrt(s**2 + self.zca_epsilon)
            self.principal_components = ((vt.T * scale) @ vt).astype(self.dtype)


def _shift(reach: Any, size: int) -> float:
    """How many pixels, for a share of the size, a number of pixels, or a list to choose from."""
    if isinstance(reach, (list, tuple, np.ndarray)):
        shift, reach = np.random.choice(reach) * np.random.choice([-1, 1]), np.max(reach)
    elif not reach:
        return 0
    elif isinstance(reach, (int, np.integer)):
        shift = np.random.randint(-reach, reach + 1)
    else:
        shift = np.random.uniform(-reach, reach)
    return float(shift * size if reach < 1 else shift)


__all__ = [
    "DataFrameIterator", "DirectoryIterator", "ImageDataGenerator", "Iterator",
    "NumpyArrayIterator", "apply_affine_transform", "apply_brightness_shift",
    "apply_channel_shift", "array_to_img", "flip_axis", "img_to_array", "load_img",
    "random_brightness", "random_channel_shift", "random_rotation", "random_shear",
    "random_shift", "random_zoom", "save_img",
]  # fmt: skip
