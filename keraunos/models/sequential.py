"""Sequential: layers in a row, each fed by the one before."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from keraunos.core import errors, naming, registry
from keraunos.core.graph import KerasTensor, symbolic_in
from keraunos.layers import InputLayer
from keraunos.layers.layer import Layer, plain_shape
from keraunos.models.graph import Graph
from keraunos.models.model import Model


@registry.export("models.Sequential")
@registry.export("Sequential")
class Sequential(Model):
    """Layers in a row, each fed by the one before.

    It makes its variables as soon as it knows its input: from an `Input`, from a first layer
    with `input_shape`, or from the data it is called on.
    """

    _tail: Any
    _head: Any
    _not_mine = Model._not_mine | {"_head", "_tail", "_drawn"}

    @errors.door
    def __init__(
        self, layers: Iterable | None = None, trainable: bool = True, name: str | None = None
    ):
        super().__init__(trainable=trainable, name=name)
        self._layers: list[Layer] = []
        self._head = self._tail = None
        self._drawn: Graph | None = None
        for layer in [] if layers is None else layers if _several(layers) else [layers]:
            self.add(layer)

    @errors.door
    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer, or an `Input`, at the end."""
        if isinstance(layer, KerasTensor) and layer.node and not layer.node.inputs:
            layer = layer.node.operation
        if isinstance(layer, type):
            raise TypeError(
                f"Sequential takes layers, got the class {layer.__name__}. Did you mean "
                f"`{layer.__name__}(...)`?"
            )
        if callable(layer) and not isinstance(layer, Layer):
            raise TypeError(
                f"Sequential takes layers, got {errors.brief(layer)}. Wrap it in "
                "`keras.layers.Lambda`."
            )
        if not isinstance(layer, Layer):
            raise TypeError(f"Sequential takes layers, got {layer!r}.")
        if other := next((other for other in self._layers if other.name == layer.name), None):
            raise ValueError(
                f"`{self.name}` already has a layer called {layer.name!r}, made at "
                f"{other.made_at}; give this one, made at {layer.made_at}, another `name`."
            )
        if isinstance(layer, InputLayer):
            if self._layers or self._head is not None:
                raise ValueError(f"`{self.name}` already starts with an input or a layer.")
            self._start(layer)
            return
        if not self._layers and self._head is None:
            self._start(_input_of(layer))
        self._layers.append(layer)
        if self._tail is not None:
            self._extend(layer)

    def _start(self, layer: InputLayer | list[InputLayer] | None) -> None:
        if isinstance(layer, list):  # a model of several inputs, as `Merge` of Keras 1 was
            self._head = self._tail = [each.output for each in layer]
        elif layer is not None:
            self._head = self._tail = layer.output

    def _extend(self, layer: Layer) -> None:
        with naming.name_scope(self.name):
            out = layer(self._tail)
        if not isinstance(out, KerasTensor):
            raise ValueError(
                f"Layers of a Sequential return one tensor, but {layer._who} returned "
                f"{len(symbolic_in(out))}. Use `keras.Model(inputs, outputs)` for such a graph."
            )
        self._tail, self._drawn, self.built = out, None, True

    @errors.door
    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer away; returns it."""
        if not self._layers:
            raise ValueError(f"`{self.name}` has no layers to pop.")
        layer = self._layers.pop()
        if self._tail is not None:
            self._tail = self._tail.node.inputs[0]
            layer._inbound_nodes.pop()
        self._drawn, self.built = None, self._head is not None and bool(self._layers)
        return layer

    @property
    def _graph(self) -> Graph | None:  # type: ignore[override]
        """Made when asked for, since layers may come one by one, thousands of them."""
        if self._tail is None or not self._layers:
            return None
        if self._drawn is None:
            self._drawn = Graph(self._head, self._tail, f"{self.name}_graph")
        return self._drawn

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `InputLayer`."""
        return list(self._layers)

    @layers.setter
    @errors.door
    def layers(self, _: Any) -> None:
        raise AttributeError("Use `add` and `pop` to change the layers of a Sequential.")

    @errors.door
    def build(self, input_shape: Any = None) -> None:
        """Make the variables, for inputs of this shape, its batch included."""
        if self._head is not None or not self._layers:
            return
        if input_shape is None:
            raise ValueError("`build` needs the shape of the input, its batch included.")
        first = InputLayer(batch_shape=tuple(input_shape), dtype=self._layers[0].input_dtype)
        self._start(first)
        for layer in self._layers:
            self._extend(layer)

    def _ensure_built(self, given: dict[str, Any]) -> None:
        if self.built or self._head is not None or not self._layers:
            return
        (value,) = jax.tree.leaves(given.get("inputs")) or (None,)
        if value is None:
            return
        shape = (None, *plain_shape(value)[1:])  # the next batch may have another size
        text = getattr(value.dtype, "kind", "") in ("U", "S", "T", "O")
        self._start(InputLayer(batch_shape=shape, dtype="string" if text else str(value.dtype)))
        for layer in self._layers:
            self._extend(layer)

    def _begin_at(self, symbols: Any) -> None:
        self._ensure_built({"inputs": symbols})

    def call(self, inputs, training=None, mask=None, **kwargs):
        if not self._layers:
            return inputs
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def compute_output_shape(self, input_shape):
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def compute_output_spec(self, inputs, training=None, mask=None, **kwargs):
        return super().compute_output_spec(inputs, training=training)

    def get_config(self) -> dict[str, Any]:
        head = getattr(self._head, "node", None)
        first = [] if head is None else [head.operation]
        config = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": registry.serialize(self._dtype_policy),
            "layers": [registry.serialize(layer) for layer in [*first, *self._layers]],
        }
        if head is not None:
            config["build_input_shape"] = self._head.shape
        return config

    @classmethod
    def from_config(cls, config: Any, custom_objects: Mapping | None = None):
        if isinstance(config, list):  # Keras 1 and 2 wrote the layers only
            config = {"name": None, "layers": config}
        with registry.CustomObjectScope(custom_objects):
            model = cls(name=config.get("name"))
            for entry in config["layers"]:
                model.add(registry.deserialize(entry, kind="layers"))
        if model._head is None and config.get("build_input_shape") and model._layers:
            model.build(tuple(config["build_input_shape"]))
        return model


def _several(layers: Any) -> bool:
    return isinstance(layers, (list, tuple)) or (
        hasattr(layers, "__iter__") and not callable(layers)
    )


def _input_of(layer: Layer) -> InputLayer | list[InputLayer] | None:
    """The input that a first layer asks for, if it does."""
    if layer._batch_input_shape is not None:
        dtype = layer._input_dtype or layer.input_dtype
        return InputLayer(batch_shape=layer._batch_input_shape, dtype=dtype)
    if isinstance(layer, Model) and layer._graph is not None:
        found = [InputLayer(batch_shape=t.shape, dtype=t.dtype) for t in layer._graph._inputs]
        return found if len(found) > 1 else found[0]
    return None
