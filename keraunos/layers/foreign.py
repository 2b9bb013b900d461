"""Layers made of what others wrote: functions of JAX, modules of Flax."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core import naming, registry, tree
from keraunos.core.registry import export
from keraunos.core.state import Variable
from keraunos.layers.layer import Layer
from keraunos.random import SeedGenerator

_CALL = ("params", "state", "rng", "inputs", "training")
_INIT = ("rng", "inputs", "training")


def _arguments(name: str, fn: Callable, known: Iterable[str]) -> frozenset[str]:
    """The names of the arguments of a function, all of which must be known."""
    found = inspect.signature(fn).parameters
    for argument in found:
        if argument not in known:
            raise ValueError(
                f"JaxLayer needs a `{name}` whose arguments are some of {', '.join(known)}, got "
                f"one with `{argument}`. Wrap it in a function that takes these."
            )
    if "inputs" not in found:
        raise ValueError(f"JaxLayer needs a `{name}` with an argument `inputs`.")
    return frozenset(found)


@export("layers.JaxLayer")
class JaxLayer(Layer):
    """A function of JAX as a layer. Its arguments are found by their names.

    Args:
        call_fn: `call_fn(params, state, rng, inputs, training)`, or with fewer of these; returns
            the outputs, and the new state behind them if it takes `state`.
        init_fn: `init_fn(rng, inputs, training)`, or with fewer of these; returns `params`, and
            the state behind them if `call_fn` takes one. Called when the layer is built, if
            neither `params` nor `state` are given; sizes that are unknown then are 1.
        params: Arrays in nested lists and dicts, which training changes.
        state: The same, which only calls change.
        seed: Of the keys that `rng` are; drawn by default.
        native_serialization_platforms: Accepted; there is one engine.
    """

    def __init__(
        self,
        call_fn: Callable,
        init_fn: Callable | None = None,
        params: Any = None,
        state: Any = None,
        seed: int | None = None,
        native_serialization_platforms: Any = None,
        **kwargs: Any,
    ):
        self._call_takes = _arguments("call_fn", call_fn, _CALL)
        self._init_takes = _arguments("init_fn", init_fn, _INIT) if init_fn else frozenset()
        needs = self._call_takes & {"params", "state"}
        if needs and init_fn is None and params is None and state is None:
            raise ValueError(
                "JaxLayer needs `init_fn`, `params` or `state` if `call_fn` takes `params` or "
                "`state`, got none of them."
            )
        self.call_fn, self.init_fn = call_fn, init_fn
        self.native_serialization_platforms = native_serialization_platforms
        self._start(params, state, seed, "rng" in self._call_takes | self._init_takes, kwargs)

    def _start(self, params, state, seed, random: bool, kwargs) -> None:
        super().__init__(**kwargs)
        self.seed, self.params, self.state = seed, None, None
        with naming.name_scope(self.name):
            self.seed_generator = SeedGenerator(seed) if random else None
            if params is not None or state is not None:
                self._keep(params, state)

    def _keep(self, params: Any, state: Any) -> None:
        self.params, self.state = self._variables(params, True), self._variables(state, False)

    def _variables(self, values: Any, trainable: bool) -> Any:
        def one(path, value):
            value = jnp.asarray(value)
            name = "_".join(str(getattr(k, "key", getattr(k, "idx", k))) for k in path)
            return self.add_weight(
                value.shape,
                lambda shape, dtype: value,
                dtype=value.dtype.name,
                trainable=trainable,
                name=name.replace("/", "_") or ("params" if trainable else "state"),
            )

        return jax.tree_util.tree_map_with_path(one, values)

    def build(self, input_shape: Any) -> None:
        if self.params is None and self.state is None:
            of = lambda shape: jnp.ones([1 if n is None else n for n in shape], self.variable_dtype)
            with jax.ensure_compile_time_eval():
                params, state = self._initial(tree.map_shapes(of, input_shape))
            self._keep(params, state)

    def _initial(self, inputs: Any) -> tuple[Any, Any]:
        """Params and state to start from."""
        if self.init_fn is None or not self._call_takes & {"params", "state"}:
            return None, None
        given = {"rng": self._key(), "inputs": inputs, "training": True}
        found = self.init_fn(**{name: given[name] for name in self._init_takes})
        if "state" not in self._call_takes:
            return found, None
        if not isinstance(found, tuple) or len(found) != 2:
            raise ValueError(
                f"{self._who} needs an `init_fn` that returns `(params, state)`, because its "
                f"`call_fn` takes `state`; got {type(found).__name__}."
            )
        return found

    def _key(self) -> Any:
        return self.seed_generator.next() if self.seed_generator else None

    def _apply(self, params: Any, state: Any, inputs: Any, training: bool) -> tuple[Any, Any]:
        """The outputs, and the new state."""
        given = {"params": params, "state": state, "inputs": inputs, "training": training}
        if "rng" in self._call_takes:
            given["rng"] = self._key()
        found = self.call_fn(**{name: given[name] for name in self._call_takes})
        return found if "state" in self._call_takes else (found, state)

    def call(self, inputs: Any, training: bool = False) -> Any:
        params, state = jax.tree.map(lambda v: v.value, (self.params, self.state))
        outputs, changed = self._apply(params, state, inputs, bool(training))
        if (now := jax.tree.structure(changed)) != (was := jax.tree.structure(state)):
            raise ValueError(
                f"{self._who} returned a state of the structure {now}, its own is {was}: a call "
                "cannot change it."
            )
        jax.tree.map(Variable.assign, self.state, changed)
        return outputs

    def get_config(self) -> dict[str, Any]:
        mine = ("call_fn", "init_fn", "native_serialization_platforms")
        return super().get_config() | {
            name: registry.serialize(getattr(self, name)) for name in mine
        }


@export("layers.FlaxLayer")
class FlaxLayer(JaxLayer):
    """A module of `flax.linen` as a layer.

    Args:
        module: It takes its inputs as one argument, `inputs`; `training` is passed if it has an
            argument of that name.
        method: The name of the method to call, or a function of the module and these arguments;
            `__call__` by default.
        variables: What the module's `init` returns; it is called when the layer is built by
            default. All collections but "params" are state.
    """

    def __init__(self, module: Any, method: Any = None, variables: Any = None, **kwargs: Any):
        absent = [name for name in ("init", "apply") if not callable(getattr(module, name, None))]
        if absent:
            raise ValueError(
                f"FlaxLayer needs a module of `flax.linen`, with `init` and `apply`, for `module`, "
                f"got {module!r}."
            )
        self.module, self.method = module, method
        called = getattr(type(module), method or "__call__") if not callable(method) else method
        self._trains = "training" in inspect.signature(called).parameters
        params, state = (None, None) if variables is None else _parted(variables)
        self._start(params, state, kwargs.pop("seed", None), True, kwargs)

    def _options(self, training: bool) -> dict[str, Any]:
        return {"method": self.method} | ({"training": training} if self._trains else {})

    def _keys(self) -> dict[str, Any]:
        return dict(zip(("params", "dropout", "default"), jax.random.split(self._key(), 3)))

    def _initial(self, inputs: Any) -> tuple[Any, Any]:
        return _parted(self.module.init(self._keys(), inputs, **self._options(True)))

    def _apply(self, params: Any, state: Any, inputs: Any, training: bool) -> tuple[Any, Any]:
        outputs, changed = self.module.apply(
            {"params": params, **state},
            inputs,
            rngs=self._keys(),
            mutable=list(state),
            **self._options(training),
        )
        return outputs, {**state, **changed}

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self) | {
            name: registry.serialize(getattr(self, name)) for name in ("module", "method")
        }


def _parted(variables: Any) -> tuple[Any, dict[str, Any]]:
    """The collection "params", and the others."""
    found = dict(variables)
    return found.pop("params", {}), found


class _Elsewhere(Layer):
    """A layer that needs another engine."""

    _instead = ""

    def __init__(self, *args: Any, **kwargs: Any):
        raise NotImplementedError(
            f"{type(self).__name__} needs an engine that is not here. {self._instead}"
        )

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None, safe_mode: Any = None):
        return cls(**config)


@export("layers.TFSMLayer")
class TFSMLayer(_Elsewhere):
    """A SavedModel of TensorFlow as a layer: refused."""

    _instead = (
        "Save the model by `model.save('model.keras')` and read it by `load_model`, or export it "
        "by `model.export(path, format='stablehlo')` and read it by `keraunos.export.load`."
    )

    def __init__(
        self,
        filepath: Any,
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__()


@export("layers.TorchModuleWrapper")
class TorchModuleWrapper(_Elsewhere):
    """A module of PyTorch as a layer: refused."""

    _instead = (
        "Write the module as a layer, or as a function for `JaxLayer`, and give it the module's "
        "weights: `layer.set_weights([p.detach().numpy() for p in module.parameters()])`."
    )

    def __init__(
        self, module: Any, name: str | None = None, output_shape: Any = None, **kwargs: Any
    ):
        super().__init__()

    def parameters(self, recurse: bool = True) -> Any:
        """The variables; there is no such layer to ask."""
        return iter(self.variables)
