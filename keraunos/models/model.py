"""Model: a layer made of layers, which can be trained, looked at and saved."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
from jax.core import Tracer

from keraunos import saving
from keraunos.core import errors, masks, naming, past, registry, tree
from keraunos.core.graph import KerasTensor
from keraunos.data.arrays import Arrays
from keraunos.data.source import Stream, as_arrays
from keraunos.export.archive import export_model
from keraunos.layers.layer import Layer, plain_shape
from keraunos.layers.preprocessing.host import HostLayer
from keraunos.models import graph as graphs
from keraunos.models.graph import Graph
from keraunos.models.hosted import Hosted, Ready
from keraunos.models.quantizing import quantize
from keraunos.models.reading import read
from keraunos.models.summary import summary
from keraunos.saving import configs, old
from keraunos.training.trainer import Trainer


@registry.export("models.Model")
@registry.export("Model")
class Model(Trainer):
    """A layer with `fit`. `Model(inputs, outputs)` makes one out of a graph.

    A subclass makes layers in `__init__` and uses them in `call`.

    Args:
        inputs: A symbolic tensor, or nested lists and dicts of them.
        outputs: What was computed from them.
        name: Made from the class name by default.
    """

    _not_mine = Layer._not_mine | {"_graph", "_compiled", "_predictors"}
    _graph: Graph | None = None

    def __new__(cls, *args, **kwargs):
        graph = args or kwargs.keys() & {"inputs", "outputs", "input", "output"}
        return super().__new__(Functional if cls is Model and graph else cls, *args, **kwargs)  # type: ignore

    @errors.door
    def __init__(self, *args: Any, **kwargs: Any):
        args, kwargs = past.arguments(type(self), _GRAPH, args, kwargs)
        given = dict(zip(("inputs", "outputs", "name"), args))
        given |= {name: kwargs.pop(name) for name in ("inputs", "outputs") if name in kwargs}
        if "name" in given:
            kwargs["name"] = given.pop("name")
        if given and len(given) < 2:
            absent = ({"inputs", "outputs"} - given.keys()).pop()
            raise TypeError(f"Model() needs `inputs` and `outputs`; `{absent}` is missing.")
        if "trainable" in kwargs and kwargs["trainable"] is None:
            kwargs.pop("trainable")
        super().__init__(**kwargs)
        if given:
            self._set_graph(given["inputs"], given["outputs"])

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        self._graph = Graph(inputs, outputs, naming.auto_name("function"))
        self._layers = self._graph.layers
        self.built = True
        if not self._trainable:
            self.trainable = False

    # Computing -----------------------------------------------------------------------------

    def call(self, inputs, training=None, mask=None):
        if isinstance(inputs, Ready):
            return self._hosted.finish(inputs)
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define `call(self, inputs)`, or be made as "
                "`Model(inputs, outputs)`."
            )
        if mask is not None:
            for leaf, its in zip(jax.tree.leaves(inputs), tree.flatten(mask)):
                masks.set_mask(leaf, its)
        return self._graph.run(self._graph.fitted(inputs))

    def __call__(self, *args, **kwargs):
        if self._graph is not None and args and not isinstance(args[0], Ready):
            inputs = self._graph.arranged(args[0])
            if self._hosted and not self._hosted.gives_strings and not _unknown(inputs):
                inputs = self._hosted.prepare(as_arrays(inputs))
            args = (inputs, *args[1:])
        return super().__call__(*args, **kwargs)

    def _fed(self, x):
        if self._graph is None or isinstance(x, Ready):
            return [], []
        return self._graph._inputs, jax.tree.leaves(self._graph.fitted(self._graph.arranged(x)))

    def compute_output_spec(self, *args, **kwargs):
        if self._graph is not None and self._hosted:
            return jax.tree.map(lambda t: KerasTensor(t.shape, t.dtype), self._symbolic_outputs)
        return super().compute_output_spec(*args, **kwargs)

    # Strings, and what else never enters a program ---------------------------------------------

    @property
    def _hosted(self) -> Hosted:
        graph = self._known_graph("inputs")
        if graph.hosted is None:
            graph.hosted = Hosted(graph, _in_halves)
        return graph.hosted

    @staticmethod
    def _read(inputs: Any) -> Any:
        return inputs

    def _prepare(self, inputs: Any) -> Ready:
        return self._hosted.prepare(self._known_graph("inputs").arranged(inputs))

    def _finish(self, ready: Ready) -> Any:
        return self(ready)

    def _begin_at(self, symbols: Any) -> None:
        """Make the graph that starts at these inputs, if that is how the model is made."""

    def _meet_strings(self, x: Any) -> None:
        """Find out what graph there is, if it is strings that the model is called on."""
        dtypes = jax.tree.map(lambda a: "string" if a.dtype.kind in "USTO" else a.dtype, x)
        if self._graph is not None or "string" not in jax.tree.leaves(dtypes):
            return
        symbol = lambda a, dtype: KerasTensor((None, *a.shape[1:]), dtype)
        self._begin_at(jax.tree.map(symbol, x, dtypes))
        if self._graph is None:
            raise TypeError(
                f"`{self.name}` was given strings, which never enter a compiled program. Only "
                "functional and Sequential models look them up before it: call the layers that "
                "take strings on the data first, or make such a model of them."
            )

    def compute_mask(self, inputs, previous_mask):
        return None if self._graph is not None else previous_mask

    def _pass_masks(self, inputs, previous, outputs) -> None:
        """Layers within have passed them already."""
        if self._graph is None and type(self).compute_mask is not Model.compute_mask:
            super()._pass_masks(inputs, previous, outputs)

    @property
    def _symbolic_outputs(self) -> Any:
        """The outputs as symbolic tensors, where they are known without a call."""
        return None if self._graph is None else self._graph._outputs_struct

    def _standard_inputs(self, x: Any) -> Any:
        if _is_arrays(x) and self._graph is None:
            self._meet_strings(as_arrays(x))
        if self._graph is None or not _is_arrays(x) or isinstance(x, Ready):
            return x
        x = self._graph.arranged(as_arrays(x))
        leaves = jax.tree.leaves(x)
        for value, symbol, name in zip(leaves, self._graph._inputs, self._graph.input_names):
            graphs.check(value.shape, symbol, name, rows_only=True)
        if self._hosted.gives_strings:
            raise TypeError(
                f"`{self.name}` gives strings, which no compiled program can: call the model "
                "itself on the data, instead of `predict`."
            )
        return self._hosted.prepare(x) if self._hosted else x

    def _source(self, x, y=None, sample_weight=None, batch_size=None, **options) -> Any:
        data = super()._source(x, y, sample_weight, batch_size, **options)
        if isinstance(data, Stream):
            if self._graph is None and not self.built:
                self._meet_strings(data.first()[0])
            if self._graph is not None and self._hosted:
                data.prepare = partial(self._hosted.batch, data.prepare, self._graph.arranged)
        if self._graph is not None and isinstance(data, Arrays):
            for symbol, name in zip(self._graph._inputs, self._graph.input_names):
                size = symbol.shape[0]
                if size is not None and (data.batch_size != size or data.size % size):
                    raise ValueError(
                        f"The input {name!r} of the model has shape {symbol.shape}: its batch size "
                        f"is fixed to {size}, but {data.size} samples in batches of "
                        f"{data.batch_size} give other batches. Pass `batch_size={size}` and a "
                        "multiple of it in samples."
                    )
        return data

    # Looking inside --------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The layers directly within the model."""
        if self._graph is not None:
            return list(self._graph.layers)
        return self._flatten_layers(include_self=False, recursive=False)

    @layers.setter
    @errors.door
    def layers(self, _: Any) -> None:
        raise AttributeError(
            "`Model.layers` is reserved; use another name for an attribute that holds layers."
        )

    @errors.door
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of this name, or at this place in `layers`."""
        if (name is None) == (index is None):
            raise ValueError("`get_layer` needs either a `name` or an `index`.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"There is no layer {index}: the model has {len(self.layers)}.")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in self.layers]
        raise ValueError(f"No layer is called {name!r}. The layers are {', '.join(names)}.")

    @property
    def operations(self) -> list:
        """All operations of the graph, layers and functions of `keras.ops`."""
        return [] if self._graph is None else list(self._graph.ordered_operations)

    @property
    def inputs(self) -> Any:
        return None if self._graph is None else list(self._graph._inputs)

    @property
    def outputs(self) -> Any:
        return None if self._graph is None else list(self._graph._outputs)

    @property
    def input(self) -> Any:
        return super().input if self._graph is None else self._graph._inputs_struct

    @property
    def output(self) -> Any:
        return super().output if self._graph is None else self._graph._outputs_struct

    @property
    def input_names(self) -> list[str]:
        return list(self._known_graph("input_names").input_names)

    @property
    def output_names(self) -> Any:
        return None if self._graph is None else list(self._graph.output_names)

    @property
    def input_shape(self) -> Any:
        return _shapes(self._known_graph("input_shape")._inputs_struct)

    @property
    def output_shape(self) -> Any:
        return _shapes(self._known_graph("output_shape")._outputs_struct)

    def _known_graph(self, attribute: str) -> Graph:
        if self._graph is None:
            raise AttributeError(
                f"`{self.name}` has no `{attribute}`: it is not made of a graph. Only "
                "functional models, and Sequential ones that know their input, have it."
            )
        return self._graph

    @errors.door
    def build(self, input_shape: Any = None) -> None:
        """Make the variables, for inputs of these shapes: of a list or dict of them, if several."""
        if self._graph is not None:
            return
        if input_shape is None:
            raise ValueError("`build` needs the shape of the input, its batch included.")
        self._rehearse(tree.map_shapes(KerasTensor, input_shape))

    def _ensure_built(self, given: dict[str, Any]) -> None:
        if type(self).build is Model.build and not self.built:
            inputs = jax.tree.leaves(next(iter(given.values()), None))
            if inputs and all(hasattr(x, "shape") for x in inputs):
                self._build_shapes = {
                    "input_shape": jax.tree.map(plain_shape, next(iter(given.values())))
                }
            self.built = True  # its layers are built when they are called, which is next
        super()._ensure_built(given)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print the layers, their output shapes and numbers of parameters."""
        summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    @errors.door
    def quantize(
        self, mode: str | None = None, config: Any = None, filters: Any = None, **kwargs: Any
    ) -> None:
        """Store the weights of the layers that can in fewer bits, to compute with them.

        Args:
            mode: "int8", "int4" or "float8"; others, and details, by `config`.
            config: A `keras.quantizers.QuantizationConfig`.
            filters: Which layers: a regular expression for their names, a list of them, or a
                function of a layer.
            type_check: Whether to leave out subclasses of layers, which may compute otherwise.
        """
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise ValueError(f"quantize() got an unexpected argument {next(iter(kwargs))!r}.")
        quantize(self, mode, config, filters, type_check)

    def get_quantization_layer_structure(self, mode: str | None = None) -> Any:
        """The order of the layers, for modes that look at data; a model may override it.

        `{"pre_block_layers": [...], "sequential_blocks": [...]}`: the data goes through the former,
        and then through the blocks, which are quantized one after the other.
        """
        return None

    # Files --------------------------------------------------------------------------------------

    @errors.door
    def save(
        self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
    ) -> None:
        """Write the model to a `.keras` file: layers, weights, and what `compile` was told."""
        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    @errors.door
    def save_weights(
        self,
        filepath: Any,
        overwrite: bool = True,
        max_shard_size: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the weights to a `.weights.h5` file."""
        saving.save_weights(
            self, filepath, overwrite=overwrite, max_shard_size=max_shard_size, **kwargs
        )

    @errors.door
    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Read weights that `save_weights`, or `save`, wrote."""
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    @errors.door
    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what the model computes as a program, which `keraunos.export.load` reads.

        Args:
            format: "stablehlo"; Keras's formats need other engines and are refused.
            verbose: False to print nothing.
            input_signature: A list of `InputSpec`; what the graph, or the call that built the
                model, says by default. Sizes of None are free.
            kwargs: `is_static`, of `ExportArchive.add_endpoint`; `platforms`, of `ExportArchive`.
        """
        export_model(self, filepath, format, verbose, input_signature, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON, for `model_from_json`; `kwargs` are those of `json.dumps`."""
        return json.dumps(registry.serialize(self), **kwargs)

    def get_config(self) -> dict[str, Any]:
        if self._graph is None or type(self).__init__ not in (Model.__init__, Functional.__init__):
            return super().get_config()
        return {"name": self.name, "trainable": self._trainable} | self._graph.config()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping | None = None):
        with registry.CustomObjectScope(custom_objects):
            if "layers" not in config or "input_layers" not in config:
                return super().from_config(config)
            inputs, outputs = read(config)
            given = {k: config[k] for k in ("name", "trainable") if config.get(k) is not None}
            return cls(inputs, outputs, **given)

    def get_build_config(self) -> dict[str, Any] | None:
        return None if self._graph is not None else super().get_build_config()


@registry.export("models.Functional")
@registry.export("Functional")
class Functional(Model):
    """The model between the inputs and outputs of a graph."""

    @errors.door
    @past.takes_old_names
    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any):
        super().__init__(inputs, outputs, name=name, **kwargs)


_GRAPH = ("inputs", "outputs", "name", "trainable", "dtype")  # what a model of a graph takes


def _shapes(structure: Any) -> Any:
    """The shapes of symbolic tensors; those in a dict as a list, as in Keras."""
    if isinstance(structure, Mapping):
        structure = jax.tree.leaves(structure)
    return jax.tree.map(lambda t: t.shape, structure)


def _unknown(inputs: Any) -> bool:
    """Whether there are tensors without values."""
    return any(isinstance(x, (KerasTensor, Tracer)) for x in jax.tree.leaves(inputs))


def _in_halves(operation: Any) -> bool:
    """Whether the host can do a first half of an operation, and a program the second."""
    graph = isinstance(operation, Model) and operation._graph is not None
    return graph or isinstance(operation, HostLayer)


def _is_arrays(x: Any) -> bool:
    return hasattr(x, "shape") or isinstance(x, (list, tuple, Mapping))


def model_from_json(json_string: str, custom_objects: Mapping | None = None) -> Any:
    """The model that `to_json` described, with new weights."""
    config = configs.parsed(json_string)
    with registry.CustomObjectScope(custom_objects):
        if isinstance(config, dict) and "module" not in config:  # Keras 1 and 2
            config = old.upgraded(config)
        return registry.deserialize(config, kind="models")


@errors.door
def load_model(filepath: Any, *args: Any, **kwargs: Any) -> Any:
    """Read what `save` wrote."""
    return saving.load_model(filepath, *args, **kwargs)


@errors.door
def save_model(
    model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any
) -> None:
    """Write what `load_model` reads."""
    saving.save_model(model, filepath, overwrite=overwrite, zipped=zipped, **kwargs)


__all__ = ["Functional", "Model", "load_model", "model_from_json", "save_model"]
