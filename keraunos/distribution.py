"""Public `keras.distribution`: variables and batches over many devices.

A distribution only answers questions, by `core.placement`: where does this variable live, how
are the rows of this batch spread? XLA finds the rest; computation follows data.
"""

import contextlib
import functools
import math
import os
import re
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from keraunos.core import graph, placement
from keraunos.core.facts import Fact
from keraunos.core.fields import did_you_mean, needs
from keraunos.core.registry import export

# Devices -------------------------------------------------------------------------------------


@export("distribution.list_devices")
def list_devices(device_type: str | None = None) -> list[str]:
    """Names of all devices of a type, e.g. "gpu:0", those of other processes too.

    Args:
        device_type: "cpu", "gpu" or "tpu"; the best there is by default.
    """
    return [_name(device) for device in jax.devices(device_type and device_type.lower())]


@export("distribution.get_device_count")
def get_device_count(device_type: str | None = None) -> int:
    """How many devices of a type there are, over all processes."""
    return len(list_devices(device_type))


@export("distribution.initialize")
def initialize(
    job_addresses: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Make several processes one computation; call it before anything is computed.

    Args:
        job_addresses: "host:port" of the processes, with commas between; the first is enough.
        process_id: Of this process, from 0 on.

    What is not given is read from the environment, as KERAS_DISTRIBUTION_JOB_ADDRESSES,
    KERAS_DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID; or found by JAX.
    """
    told = lambda name: os.environ.get(f"KERAS_DISTRIBUTION_{name}")
    addresses = (job_addresses or told("JOB_ADDRESSES") or "").split(",")
    if num_processes is None and (said := told("NUM_PROCESSES")):
        num_processes = int(said)
    if process_id is None and (said := told("PROCESS_ID")):
        process_id = int(said)
    if len(addresses) > 1 and num_processes not in (None, len(addresses)):
        raise ValueError(
            f"initialize() got {len(addresses)} `job_addresses`, {addresses}, but "
            f"`num_processes` is {num_processes}. Give one for each process, or the first alone."
        )
    jax.distributed.initialize(
        coordinator_address=addresses[0] or None, num_processes=num_processes, process_id=process_id
    )


def _name(device: Any) -> str:
    return device.lower() if isinstance(device, str) else f"{device.platform}:{device.id}"


@export("distribution.DeviceMesh")
class DeviceMesh:
    """Devices in a grid whose axes have names.

    Args:
        shape: Sizes of the axes, e.g. `(4, 2)`.
        axis_names: One for each axis, e.g. `["batch", "model"]`.
        devices: As many as the grid has places, e.g. `["gpu:0", ...]`; all by default.
    """

    shape = Fact[Sequence[int]]()
    axis_names = Fact[Sequence[str]]()
    devices = Fact[np.ndarray]()  # their names

    def __init__(
        self, shape: Sequence[int], axis_names: Sequence[str], devices: Sequence[Any] | None = None
    ):
        listed = isinstance(shape, (list, tuple)) and isinstance(axis_names, (list, tuple))
        if not listed or not shape or len(shape) != len(axis_names):
            raise ValueError(
                "DeviceMesh needs a size in `shape` and a name in `axis_names` for each axis, "
                f"got {shape!r} and {axis_names!r}."
            )
        if len(set(axis_names)) < len(axis_names):
            raise ValueError(needs(self, "different names", "axis_names", axis_names))
        names = [*map(_name, jax.devices() if devices is None else devices)]
        if len(names) != math.prod(shape):
            raise ValueError(
                f"DeviceMesh of `shape` {shape!r} needs {math.prod(shape)} devices, got "
                f"{len(names)}. Give as many in `devices`."
            )
        self.shape, self.axis_names = shape, axis_names
        self.devices = np.array(names).reshape(tuple(shape))

    @property
    def backend_mesh(self) -> Mesh:
        """The same as JAX's `Mesh`."""
        return _mesh(
            tuple(self.shape), tuple(self.axis_names), tuple(self.devices.ravel().tolist())
        )

    def __repr__(self):
        return f"<DeviceMesh shape={self.shape}, axis_names={self.axis_names}>"


@functools.cache  # not kept in the mesh, which so can be pickled
def _mesh(shape: tuple, axis_names: tuple, devices: tuple[str, ...]) -> Mesh:
    known = {_name(d): d for kind in {n.partition(":")[0] for n in devices} for d in _of(kind)}
    if missing := [name for name in devices if name not in known]:
        raise ValueError(
            f"DeviceMesh has a device {missing[0]!r}, there are {', '.join(known) or 'none such'}."
        )
    return Mesh(np.array([known[name] for name in devices]).reshape(shape), axis_names)


def _of(kind: str) -> list:
    with contextlib.suppress(RuntimeError):
        return jax.devices(kind)
    return []


# Layouts -------------------------------------------------------------------------------------


@export("distribution.TensorLayout")
class TensorLayout:
    """How a tensor lies on a mesh.

    Args:
        axes: For each axis of the tensor, the axis of the mesh that it is cut along, or None.
        device_mesh: May be given later, once; a `LayoutMap` gives its own.
    """

    axes = Fact[tuple[str | None, ...]]()

    def __init__(self, axes: Sequence[str | None], device_mesh: DeviceMesh | None = None):
        self.axes, self._device_mesh = tuple(axes), None
        if device_mesh is not None:
            self.device_mesh = device_mesh

    @property
    def device_mesh(self) -> DeviceMesh | None:
        """The mesh, or None as long as there is none."""
        return self._device_mesh

    @device_mesh.setter
    def device_mesh(self, mesh: DeviceMesh) -> None:
        if self._device_mesh is not None:
            raise ValueError(f"A TensorLayout keeps its `device_mesh`, {self._device_mesh}.")
        if not isinstance(mesh, DeviceMesh):
            raise ValueError(needs(self, "a DeviceMesh", "device_mesh", mesh))
        if unknown := [a for a in self.axes if a is not None and a not in mesh.axis_names]:
            raise ValueError(
                f"TensorLayout has an axis {unknown[0]!r}, the mesh has {list(mesh.axis_names)}"
                f"{did_you_mean(str(unknown[0]), mesh.axis_names)}"
            )
        self._device_mesh = mesh

    @property
    def backend_layout(self) -> NamedSharding:
        """The same as JAX's `NamedSharding`."""
        if self._device_mesh is None:
            raise ValueError(f"{self} needs a `device_mesh` before tensors can lie on it.")
        return NamedSharding(self._device_mesh.backend_mesh, PartitionSpec(*self.axes))

    def __repr__(self):
        return f"<TensorLayout axes={self.axes}, device_mesh={self._device_mesh}>"


@export("distribution.LayoutMap")
class LayoutMap(MutableMapping):
    """Layouts by regular expressions, which a variable's whole path must match.

    Where none matches there is None; where several do, a ValueError, unless the path itself
    is a key. Axes in a tuple or list do for a layout.

        layouts = LayoutMap(mesh)
        layouts[".*dense.*kernel"] = (None, "model")

    Args:
        device_mesh: Of the layouts that have none.
    """

    device_mesh = Fact[DeviceMesh | None]()

    def __init__(self, device_mesh: DeviceMesh | None):
        if not (device_mesh is None or isinstance(device_mesh, DeviceMesh)):
            raise ValueError(needs(self, "a DeviceMesh", "device_mesh", device_mesh))
        self.device_mesh, self._layouts = device_mesh, {}

    def __getitem__(self, key: str) -> TensorLayout | None:
        if key in self._layouts:
            return self._layouts[key]
        found = [pattern for pattern in self._layouts if re.fullmatch(pattern, key)]
        if len(found) > 1:
            raise ValueError(
                f"Several keys of the LayoutMap match {key!r}: {found}. Write them so that only "
                "one does."
            )
        return self._layouts[found[0]] if found else None

    def __setitem__(self, key: str, layout: TensorLayout | Sequence[str | None]) -> None:
        if key in self._layouts:
            raise ValueError(
                f"LayoutMap has the key {key!r} already, for {self._layouts[key]}. Delete it first."
            )
        try:
            re.compile(key)
        except (re.error, TypeError) as error:
            raise ValueError(f"LayoutMap needs regular expressions as keys: {error}.") from None
        if isinstance(layout, (tuple, list)):
            layout = TensorLayout(layout)
        if not isinstance(layout, TensorLayout):
            raise ValueError(needs(self, "a TensorLayout or its axes", key, layout))
        if layout.device_mesh is None and self.device_mesh is not None:
            layout.device_mesh = self.device_mesh
        self._layouts[key] = layout

    def __delitem__(self, key: str) -> None:
        del self._layouts[key]

    def __len__(self) -> int:
        return len(self._layouts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._layouts)


@export("distribution.distribute_tensor")
def distribute_tensor(tensor: Any, layout: Any) -> Any:
    """`tensor`, laid out so; inside of a compiled function, a wish that XLA obeys.

    Args:
        layout: A `TensorLayout` or a sharding of JAX; None leaves the tensor where it is.
    """
    if not (layout is None or isinstance(layout, (TensorLayout, Sharding))):
        raise ValueError(f"distribute_tensor() needs a TensorLayout as `layout`, got {layout!r}.")
    return tensor if graph.is_symbolic(tensor) else placement.put(graph.tensor(tensor), layout)


# Distributions -------------------------------------------------------------------------------


class Distribution:
    """Where variables and batches live. Set it before a model is made: `with d.scope(): ...`"""

    device_mesh = Fact[DeviceMesh]()
    batch_dim_name = Fact[str]()
    auto_shard_dataset: bool = True

    def __init__(self, device_mesh: DeviceMesh, batch_dim_name: str, auto_shard_dataset: bool):
        self.device_mesh, self.batch_dim_name = device_mesh, batch_dim_name
        self.auto_shard_dataset = auto_shard_dataset

    @property
    def num_processes(self) -> int:
        """How many processes compute together."""
        return jax.process_count()

    @property
    def num_model_replicas(self) -> int:
        """How many parts a batch is cut into."""
        mesh = self.device_mesh
        return mesh.shape[list(mesh.axis_names).index(self.batch_dim_name)]

    @property
    def data_shard_id(self) -> int:
        """Which part of the data this process reads; several may read one."""
        return jax.process_index() * self._shards // self.num_processes

    @property
    def _shards(self) -> int:
        return min(self.num_processes, self.num_model_replicas)

    def get_data_layout(self, data_shape: Sequence[int | None]) -> TensorLayout:
        """The layout of a batch of this shape: its rows spread, all else whole."""
        axes = (self.batch_dim_name, *(None,) * len(data_shape))
        return TensorLayout(axes[: len(data_shape)], self.device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """The layout of a variable: its own, that of its path, or whole on every device."""
        if (layout := variable.layout or self.get_tensor_layout(variable.path)) is not None:
            return layout
        return TensorLayout((None,) * len(variable.shape), self.device_mesh)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout that was asked for by this path, or None."""
        return None

    def distribute_dataset(self, dataset: Any) -> Any:
        """What this process reads of a dataset of batches: its rows of each.

        `fit` finds its rows by itself; this is for loops of your own.
        """
        shards, own = self._shards, self.data_shard_id
        if not self.auto_shard_dataset or shards == 1:
            return dataset
        if not hasattr(dataset, "map"):
            raise ValueError(
                f"distribute_dataset() needs a dataset with `map`, got {type(dataset).__name__}. "
                "Read other parts of it in each process and set `auto_shard_dataset=False`."
            )
        rows = lambda x: x[len(x) * own // shards : len(x) * (own + 1) // shards]
        return dataset.map(lambda x, *rest: jax.tree.map(rows, (x, *rest) if rest else x))

    def distribute_tf_dataset(self, dataset: Any) -> Any:
        """The same as `distribute_dataset`."""
        return self.distribute_dataset(dataset)

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, this distribution is the one that is set."""
        before = distribution()
        placement.set_current(self)
        try:
            yield
        finally:
            placement.set_current(before)

    def __repr__(self):
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


@export("distribution.DataParallel")
class DataParallel(Distribution):
    """Every device has the whole model and a part of the batch.

    Args:
        device_mesh: With one axis, over which rows are spread; the first one is taken of several.
        devices: Instead of a mesh; all by default.
        auto_shard_dataset: Of several processes each is given all the data, and takes its part;
            False if each is given its own.
    """

    def __init__(
        self,
        device_mesh: DeviceMesh | None = None,
        devices: Sequence[Any] | None = None,
        auto_shard_dataset: bool = True,
    ):
        if device_mesh is None:
            devices = list(devices or list_devices())
            device_mesh = DeviceMesh((len(devices),), ["batch"], devices)
        elif not isinstance(device_mesh, DeviceMesh):
            raise ValueError(needs(self, "a DeviceMesh", "device_mesh", device_mesh))
        elif len(device_mesh.shape) > 1:
            warnings.warn(
                f"DataParallel spreads rows over one axis, {device_mesh.axis_names[0]!r}; along "
                f"the others of {device_mesh} all devices compute the same.",
                stacklevel=2,
            )
        super().__init__(device_mesh, device_mesh.axis_names[0], auto_shard_dataset)


@export("distribution.ModelParallel")
class ModelParallel(Distribution):
    """Variables are cut as a `LayoutMap` says, and batches over an axis of its mesh.

    Args:
        layout_map: Layouts by paths of variables; others are whole on every device.
        batch_dim_name: The axis for rows; the first one by default.
        auto_shard_dataset: Of several processes each is given all the data, and takes its part;
            False if each is given its own.
    """

    def __init__(
        self,
        *,
        layout_map: LayoutMap | None = None,
        batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
        **kwargs: Any,
    ):
        kwargs.pop("device_mesh", None)  # what it was once given; the map has one
        if kwargs:
            raise TypeError(f"ModelParallel() got an unexpected argument {next(iter(kwargs))!r}.")
        if not isinstance(layout_map, LayoutMap) or layout_map.device_mesh is None:
            raise ValueError(needs(self, "a LayoutMap with a mesh", "layout_map", layout_map))
        names = list(layout_map.device_mesh.axis_names)
        if batch_dim_name is not None and batch_dim_name not in names:
            raise ValueError(needs(self, f"one of {names}", "batch_dim_name", batch_dim_name))
        self._layout_map = layout_map
        super().__init__(layout_map.device_mesh, batch_dim_name or names[0], auto_shard_dataset)

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """The layout that the map has for this path, or None."""
        return self._layout_map[path]


@export("distribution.distribution")
def distribution() -> Distribution | None:
    """The distribution that is set, or None."""
    return placement.current()


@export("distribution.set_distribution")
def set_distribution(value: Distribution | None) -> None:
    """Lay out variables and batches by `value` from now on; as ever if it is None."""
    if not (value is None or isinstance(value, Distribution)):
        raise ValueError(f"set_distribution() needs a distribution or None, got {value!r}.")
    placement.set_current(value)


__all__ = [
    "DataParallel",
    "DeviceMesh",
    "LayoutMap",
    "ModelParallel",
    "TensorLayout",
    "distribute_tensor",
    "distribution",
    "get_device_count",
    "initialize",
    "list_devices",
    "set_distribution",
]
