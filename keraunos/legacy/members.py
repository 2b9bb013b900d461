"""What objects of Keras 1 and 2 had: methods and properties that are not there any more.

Each class holds those of the class of that name, and of its subclasses.
"""

import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from keraunos.core import tree
from keraunos.layers.layer import plain_shape, running
from keraunos.legacy.arguments import show_accuracy
from keraunos.legacy.backend import Update, gradients
from keraunos.legacy.note import note


def find(cls: type, name: str) -> Any:
    """The function or property called `name` that objects of `cls` had, or None."""
    for kind in cls.__mro__:
        found = vars(_HOMES.get(kind.__name__, object)).get(name)
        if found is not None and kind.__module__.startswith("keraunos"):
            if not name.startswith("_"):
                note(f"`{kind.__name__}.{name}`")
            return found
    return None


class _Of:
    """Whatever object a member is looked up on."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class _Shape(tuple):
    """A shape, as TensorFlow gave it."""

    def as_list(self) -> list:
        return list(self)

    @property
    def ndims(self) -> int:
        return len(self)


class _Tensor(_Of):
    @property
    def _keras_shape(self):
        return plain_shape(self)

    def get_shape(self):
        return _Shape(plain_shape(self))

    def set_shape(self, shape):
        self.shape = tuple(shape)

    _uses_learning_phase = property(lambda self: False)


class _Variable(_Tensor):
    def get_value(self, borrow=False):
        return self.numpy()

    def set_value(self, value, borrow=False):
        self.assign(value)

    def eval(self, session=None):
        return self.numpy()

    def read_value(self):
        return self.value


def _shapes(tensors: Any) -> Any:
    shapes = [plain_shape(t) for t in jax.tree.leaves(tensors)]
    return shapes[0] if len(shapes) == 1 else shapes


def _renamed(now: str) -> property:
    return property(lambda self: getattr(self, now))


class _Layer(_Of):
    def _shape_of(self, attribute):
        """The one shape of all calls, of which there is at least one."""
        get = getattr(self, f"get_{attribute}_at")
        found = [_shapes(get(i)) for i in range(len(self._inbound_nodes))]
        if not found:
            raise AttributeError(
                f"`{self.name}` has no `{attribute}_shape`: it was never called on a symbolic "
                "tensor."
            )
        if any(shape != found[0] for shape in found):
            raise AttributeError(
                f"`{self.name}` was called on inputs of different shapes, so `{attribute}_shape` "
                f"is ambiguous. Use `get_{attribute}_shape_at(node_index)`."
            )
        return found[0]

    output_shape = property(lambda self: _Layer._shape_of(self, "output"))
    input_shape = property(lambda self: _Layer._shape_of(self, "input"))
    batch_input_shape = _renamed("_batch_input_shape")
    inbound_layers = property(lambda self: [t.node.operation for t in _inputs(self) if t.node])
    W, U, b = _renamed("kernel"), _renamed("recurrent_kernel"), _renamed("bias")
    nb_filter, output_dim, p = _renamed("filters"), _renamed("units"), _renamed("rate")
    get_output_shape_for = _renamed("compute_output_shape")
    stateful = dynamic = uses_learning_phase = property(lambda self: False)
    updates = property(lambda self: [])

    def get_output_shape_at(self, node_index):
        return _shapes(self.get_output_at(node_index))

    def get_input_shape_at(self, node_index):
        return _shapes(self.get_input_at(node_index))

    def get_output_mask_at(self, node_index):
        masks = [t._keras_mask for t in jax.tree.leaves(self.get_output_at(node_index))]
        return masks[0] if len(masks) == 1 else masks

    output_mask = property(lambda self: _Layer.get_output_mask_at(self, 0))

    def add_update(self, updates, inputs=None):
        """Assign `(variable, value)` pairs, and what `K.update` returned; in training only."""
        if running()[1] is False:
            return
        pairs = isinstance(updates, (list, tuple)) and not _is_pair(updates)
        update: Any
        for update in updates if pairs else [updates]:
            if callable(update):
                update = update()
            if _is_pair(update):
                target, value = update
                target.assign(value)

    def get_updates_for(self, inputs):
        return []

    def get_losses_for(self, inputs=None):
        return self.losses

    def assert_input_compatibility(self, inputs):
        self._check(inputs)

    def get_params(self):
        return self.trainable_weights, [], [], []


def _is_pair(update: Any) -> bool:
    return isinstance(update, tuple) and len(update) == 2 and hasattr(update[0], "assign")


def _inputs(layer: Any) -> list:
    return [t for node in layer._inbound_nodes for t in node.inputs]


def _steps(generator: Any, samples: int | None) -> tuple[Any, int | None]:
    """Batches and their number in an epoch, for Keras 1, which counted samples."""
    if samples is None:
        return generator, None
    if hasattr(generator, "batch_size"):
        return generator, -(-samples // generator.batch_size)
    first = next(generator := iter(generator))
    size = len(jax.tree.leaves(first[0] if isinstance(first, tuple) else first)[0])
    return itertools.chain([first], generator), max(1, -(-samples // size))


_QUEUE = {
    "max_queue_size", "workers", "use_multiprocessing", "max_q_size", "nb_worker", "pickle_safe",
    "show_accuracy", "nb_val_worker",
}  # fmt: skip


def _generator_call(model: Any, generator: Any, samples: Any, options: dict) -> tuple[Any, Any]:
    for name in _QUEUE & options.keys():
        options.pop(name)
    return _steps(generator, samples)


class _Model(_Of):
    def fit_generator(
        self, generator, steps_per_epoch=None, epochs=1, verbose=1, callbacks=None,
        validation_data=None, validation_steps=None, validation_freq=1, class_weight=None,
        max_queue_size=10, workers=1, use_multiprocessing=False, shuffle=True, initial_epoch=0,
        *, samples_per_epoch=None, nb_epoch=None, nb_val_samples=None, **options,
    ):  # fmt: skip
        if options.get("show_accuracy"):
            show_accuracy(self)
        generator, steps = _generator_call(self, generator, samples_per_epoch, options)
        if nb_val_samples is not None:
            validation_data, validation_steps = _steps(validation_data, nb_val_samples)
        return self.fit(
            generator, epochs=epochs if nb_epoch is None else nb_epoch, verbose=verbose,
            steps_per_epoch=steps or steps_per_epoch, callbacks=callbacks, shuffle=shuffle,
            validation_data=validation_data, validation_steps=validation_steps,
            validation_freq=validation_freq, class_weight=class_weight,
            initial_epoch=initial_epoch, **options,
        )  # fmt: skip

    def evaluate_generator(
        self, generator, steps=None, callbacks=None, max_queue_size=10, workers=1,
        use_multiprocessing=False, verbose=0, *, val_samples=None, **options,
    ):  # fmt: skip
        generator, counted = _generator_call(self, generator, val_samples, options)
        return self.evaluate(
            generator, steps=counted or steps, callbacks=callbacks, verbose=verbose, **options
        )

    def predict_generator(
        self, generator, steps=None, callbacks=None, max_queue_size=10, workers=1,
        use_multiprocessing=False, verbose=0, *, val_samples=None, **options,
    ):  # fmt: skip
        generator, counted = _generator_call(self, generator, val_samples, options)
        return self.predict(
            generator, steps=counted or steps, callbacks=callbacks, verbose=verbose, **options
        )

    def predict_proba(self, x, batch_size=None, verbose=0, steps=None):
        return self.predict(x, batch_size=batch_size, verbose=verbose, steps=steps)

    def predict_classes(self, x, batch_size=None, verbose=0, steps=None):
        """The most likely class of each sample; 0 or 1 where there is one output."""
        found = self.predict(x, batch_size=batch_size, verbose=verbose, steps=steps)
        return found.argmax(-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")

    def to_yaml(self, **kwargs):
        """The architecture as YAML, of the kind that is also JSON."""
        return json.dumps(json.loads(self.to_json()), **kwargs)

    def reset_states(self):
        for layer in self._flatten_layers(include_self=False):
            if hasattr(layer, "reset_states"):
                layer.reset_states()

    @property
    def validation_data(self):
        return _held_out(self.history)

    stateful = property(lambda self: any(getattr(n, "stateful", False) for n in self.layers))
    stateful_metric_names = property(lambda self: self.metrics_names[1:])
    input_layers = property(lambda self: [t.node.operation for t in self.inputs])
    output_layers = property(lambda self: [t.node.operation for t in self.outputs])
    state_updates = property(lambda self: [])
    model = property(lambda self: self)
    loss_functions = property(lambda self: self._compiled.loss._parts)
    _feed_inputs = _renamed("inputs")

    def _make_predict_function(self):
        """Nothing is left to do: programs are made when they are first used."""

    _make_train_function = _make_test_function = _make_predict_function


class _Step(NamedTuple):
    """What an update does that is a step of an optimizer."""

    optimizer: Any
    variables: list

    def assign(self, gradients: list) -> None:
        self.optimizer.apply(gradients, self.variables)


class _Optimizer(_Of):
    decay = property(lambda self: self._decay)
    weights = _renamed("variables")

    def get_updates(self, loss, params):
        """What `K.function` is to do: one step down the gradients of a symbolic loss."""
        return [Update(_Step(self, list(params)), gradients(loss, list(params)))]


def _held_out(history: Any) -> Any:
    """The data that `fit` validated on: inputs, targets and weights in one list."""
    given = vars(history or object).get("validation_data") if history is not None else None
    if not isinstance(given, (list, tuple)):
        return given
    x, y, *weights = given
    listed = [np.asarray(a) for part in (x, y) for a in _several(part)]
    ones = np.ones(len(listed[0]), "float32")
    return [*listed, *(map(np.asarray, _several(weights[0])) if weights else [ones])]


def _several(part: Any) -> list:
    return list(part) if isinstance(part, (list, tuple)) else tree.flatten(part)


class _Callback(_Of):
    @property
    def validation_data(self):
        """The data that `fit` validates on: inputs, targets and weights in one list."""
        return None if self._model is None else _held_out(self.model.history)


_HOMES = {
    "Layer": _Layer,
    "Model": _Model,
    "KerasTensor": _Tensor,
    "Variable": _Variable,
    "Optimizer": _Optimizer,
    "Callback": _Callback,
}
