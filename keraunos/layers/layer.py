"""The base of all layers: variables made in `build`, the computation in `call`.

`Layer.__call__` is where a layer meets the world; it reads top to bottom: check and cast the
arguments, build on first use, then, on symbolic tensors, infer shapes and remember the call;
on real ones, find the masks and the training flag, compute, and pass the masks on.
"""

import contextlib
import contextvars
import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import dtypes, errors, masks, naming, past, registry, remat, state, tree
from keraunos.core.fields import Configurable, Field, checked, did_you_mean, needs, via
from keraunos.core.graph import KerasTensor, Operation, abstract, draws, rehearse, symbolic_in
from keraunos.core.state import StatelessScope, Variable
from keraunos.layers.explaining import explaining, no_tensor, so_far, way_out
from keraunos.layers.holder import Holder
from keraunos.layers.spec import InputSpec, Options, batch_input_shape, plain_shape

_PENALTY = Field("activity_regularizer", None, via(lambda v: registry.find("regularizers", v)))
_training: contextvars.ContextVar[bool | None] = contextvars.ContextVar("training", default=None)
_running: contextvars.ContextVar["Layer | None"] = contextvars.ContextVar("running", default=None)


@registry.export("Layer")
@registry.export("layers.Layer")
class Layer(Options, Operation, Holder):
    """A function of tensors that owns variables.

    Subclasses define `call(inputs, ...)` and, if they have variables, `build(input_shape)`,
    which makes them with `add_weight`. A `training` argument of `call` is filled in from
    the enclosing call; a `mask` argument from the masks of the inputs.

    Args:
        activity_regularizer: Adds a loss for large outputs.
        trainable: Whether training changes the layer's trainable variables.
        dtype: A float dtype, or "mixed_float16" and "mixed_bfloat16", or a `DTypePolicy`.
        autocast: Whether float inputs and variables are cast to the compute dtype.
        name: Unique within a model; made from the class name by default.
        input_shape, batch_input_shape, input_dim, input_length, batch_size: Of a first layer,
            what the model's input is: its shape without the batch, or with it, or in parts.
        weights: Arrays to start from, as `set_weights` takes them.
    """

    _takes: ClassVar[frozenset[str]] = frozenset()
    supports_masking: bool = False
    path: str | None = None  # where the layer stands in the model, once it is built
    _remat: remat.RematScope | None = None
    input_spec: Any = None
    made_at: str | None
    _made_in: int
    _config_tells_shape: ClassVar[bool] = False  # so that layers alike need not all be traced
    _seen_outputs: ClassVar[dict[Any, tuple]] = {}  # of outputs, by what tells them
    _given: tuple[tuple, dict]

    def __new__(cls, *args, **kwargs):
        layer = super().__new__(cls)
        layer._made, layer._losses, layer._building = [], [], False  # order of vars: made first
        layer._given = (args, kwargs)
        layer.made_at, layer._made_in = errors.users_line(), id(so_far.get())
        layer._remat = remat.current()
        return layer

    @checked
    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        weights: Any = None,
        **kwargs: Any,
    ):
        Operation.__init__(self, name)
        self.activity_regularizer = _PENALTY.take(activity_regularizer, self)
        if weights is not None and not isinstance(weights, (list, tuple, np.ndarray)):
            raise ValueError(needs(self, "a list of arrays", "weights", weights))
        self._dtype_policy = dtypes.get(dtype)
        self.autocast, self.built, self._trainable = bool(autocast), False, bool(trainable)
        self.path = None
        self._build_shapes: dict[str, Any] | None = None
        self._initial_weights = weights
        self._batch_input_shape = batch_input_shape(kwargs)
        self._input_dtype = kwargs.pop("input_dtype", None)
        if kwargs:
            name = next(iter(kwargs))
            hint = did_you_mean(name, inspect.signature(type(self).__init__).parameters)
            raise TypeError(
                f"{type(self).__name__}() got an unexpected argument {name!r} "
                f"(value {kwargs[name]!r}){hint}"
            )

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls._takes = frozenset(inspect.signature(cls.call).parameters)
        if "build" in vars(cls):
            cls.build = _building(cls.build)  # type: ignore[method-assign]
        for name in vars(cls).keys() & {"__init__", "__call__"}:
            setattr(cls, name, errors.door(vars(cls)[name]))

    # What a layer does -------------------------------------------------------------------

    def build(self, input_shape) -> None:
        """Make the variables, given the shape of the first argument of `call`."""
        with self._being_built({"input_shape": input_shape}):
            pass

    def compute_mask(self, inputs, previous_mask):
        """The mask of the output; that of the input, unless a layer says otherwise."""
        return previous_mask

    @errors.door
    def __call__(self, *args, **kwargs):
        if "built" not in vars(self):
            raise RuntimeError(
                f"{type(self).__name__}.__init__ did not call `super().__init__()`; make it the "
                "first line, before any layer or weight is made."
            )
        args, kwargs = self._cast((args, kwargs))
        given = self._named(args, kwargs)
        inputs = next(iter(given.values()), None)
        with explaining(self, given):
            self._check(inputs)
            self._ensure_built(given)
            if symbolic_in((args, kwargs)):
                return self.symbolic_call(*args, **kwargs)
            kwargs |= self._found_masks(given)
            return self._compute(inputs, args, kwargs)

    def _compute(self, inputs, args, kwargs):
        training = kwargs.get("training")
        if training is None:
            training = _training.get()
        if "training" in self._takes:
            if training is not None:
                kwargs["training"] = training
        elif "kwargs" not in self._takes:
            kwargs.pop("training", None)
        if _running.get() is None and state.current_scope() is None:
            self._clear_losses()
        previous, before = jax.tree.map(masks.get_mask, inputs), so_far.get()
        with (
            _set(_training, training),
            _set(_running, self),
            _set(so_far, []),
            naming.name_scope(self.name),
            state.autocast(self._cast_dtype),
        ):
            call = self.call if self._remat is None else self.rematerialized_call(self.call)
            outputs = call(*args, **kwargs)
            self._pass_masks(inputs, previous, outputs)
            if self.activity_regularizer is not None:
                for output in jax.tree.leaves(outputs):
                    self.add_loss(self.activity_regularizer(output) / output.shape[0])
        if before is not None and hasattr(outputs, "shape"):
            before.append((self.name, outputs.shape))
        return outputs

    def rematerialized_call(self, layer_call: Callable, *args, **kwargs) -> Callable:
        """`layer_call`, with values computed again as the `RematScope` of the layer wants it."""
        scope = self._remat or remat.RematScope()
        return scope.around(layer_call, self.name, self.variables)

    def _named(self, args, kwargs) -> dict[str, Any]:
        """The arguments of a call by the names `call` gives them."""
        signature = _signature(type(self))
        try:
            bound = signature.bind(None, *args, **kwargs)
        except TypeError as error:
            if "training" not in kwargs or "training" in self._takes:
                hint = errors.misspelt(kwargs, signature.parameters)
                raise TypeError(f"{type(self).__name__}.call() {error}{hint}") from None
            kwargs = {name: value for name, value in kwargs.items() if name != "training"}
            bound = signature.bind(None, *args, **kwargs)
        return dict(list(bound.arguments.items())[1:])

    def _check(self, inputs) -> None:
        """Compare the inputs with `input_spec`."""
        if self.input_spec is None:
            return
        specs = self.input_spec
        if isinstance(specs, dict):
            pairs = [(specs[key], inputs.get(key)) for key in specs]
        else:
            leaves = jax.tree.leaves(inputs, is_leaf=tree.is_none)
            specs = jax.tree.leaves(specs)
            if len(leaves) != len(specs):
                raise ValueError(
                    f"{self._who} expects {len(specs)} input tensors, got {len(leaves)}."
                )
            pairs = list(zip(specs, leaves))
        for spec, value in pairs:
            if spec is None or value is None or not hasattr(value, "shape"):
                continue
            shape = plain_shape(value)
            if objection := spec.objection(shape):
                raise ValueError(
                    f"{self._who} expects {objection}, got an input of shape {shape}."
                    + self._way_out(spec, value, shape)
                )

    _way_out = way_out  # a layer may know better

    @property
    def _who(self) -> str:
        where = f", made at {self.made_at}" if self.made_at else ""
        scope = naming.path("")[:-1]
        path = scope if scope.split("/")[-1] == self.name else naming.path(self.name)
        return f"{type(self).__name__} layer '{path}'{where},"

    # Building ----------------------------------------------------------------------------

    @property
    def _shape_names(self) -> list[str]:
        """The arguments of `build`."""
        parameters = list(inspect.signature(type(self).build).parameters.values())[1:]
        return [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]

    def _ensure_built(self, given: dict[str, Any]) -> None:
        """Build, if that was not done yet, with the shapes of the given arguments of `call`."""
        if self.built:
            return
        shapes = {
            f"{name}_shape": jax.tree.map(plain_shape, value)
            for name, value in given.items()
            if all(hasattr(x, "shape") for x in jax.tree.leaves(value)) and value is not None
        }
        if not shapes and given:
            value = next(iter(given.values()))
            raise TypeError(f"{self._who} takes tensors, got {no_tensor(value)}")
        names = self._shape_names
        if len(names) > 1 or (names and names[0] != "input_shape" and names[0] in shapes):
            known = {name: shapes[name] for name in names if name in shapes}
        else:
            known = dict(zip(names, shapes.values()))
        self.build(**known)

    @contextlib.contextmanager
    def _being_built(self, shapes: dict[str, Any]) -> Iterator[None]:
        """Around `build`: names, and afterwards the mark that it is done."""
        if self._building:  # `super().build()`
            yield
            return
        self._building = True
        try:
            with naming.name_scope(self.name):
                self.path = naming.path("")[:-1]
                yield
        finally:
            self._building = False
        self.built, self._build_shapes = True, shapes
        self._check_owner()
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)
            self._initial_weights = None

    def _check_owner(self) -> None:
        """Refuse weights of a layer that the `call` around us has made, and that nobody keeps."""
        owner = _running.get()
        if owner is None or not self._made or self._made_in != id(so_far.get()):
            return
        if all(child is not self for child in state.walk(owner)):
            raise RuntimeError(
                f"{self._who} was made in the `call` of {owner._who} and would be made anew, with "
                "new weights, in each call, and never be trained. Make it in `__init__`, as an "
                "attribute, `self.layer = ...`, and only call it in `call`."
            )

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes this layer was built with; None if it was not."""
        if not self._build_shapes:
            return None
        if self._shape_names == ["input_shape"] or len(self._build_shapes) == 1:
            return {"input_shape": next(iter(self._build_shapes.values()))}
        return {"shapes_dict": dict(self._build_shapes)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build with the shapes of another layer."""
        if not config:
            return
        shapes = {
            name: tree.map_shapes(tuple, shape)
            for name, shape in (config.get("shapes_dict") or config).items()
            if shape is not None
        }
        names = self._shape_names
        if list(shapes) == ["input_shape"] and "input_shape" not in names[1:]:
            self.build(shapes["input_shape"])
        elif shapes:
            self.build(**{name: shape for name, shape in shapes.items() if name in names})

    # Shapes ------------------------------------------------------------------------------

    def compute_output_shape(self, *args, **kwargs):
        """The shape of what `call` returns, for the shapes of its arguments."""
        layer = self if self.built else copy.deepcopy(self)  # asking for a shape builds nothing
        of = lambda shape: KerasTensor(shape, self.compute_dtype)
        args = tree.map_shapes(of, args) if args else ()
        symbols = {
            name.removesuffix("_shape"): tree.map_shapes(of, shape)
            for name, shape in kwargs.items()
        }
        if "input" in symbols and "input" not in self._takes:
            args = (symbols.pop("input"), *args)
        outputs = abstract(layer, *args, **symbols)
        return jax.tree.map(lambda t: t.shape, outputs)

    def compute_output_spec(self, *args, **kwargs):
        """Shapes and dtypes of the outputs: what `call` does to those of the inputs."""
        if type(self).compute_output_shape is Layer.compute_output_shape:
            key = self._shape_key(args, kwargs)
            if key not in self._seen_outputs:
                outputs = abstract(self, *args, **kwargs)
                if key is None:
                    return outputs
                self._seen_outputs[key] = outputs.shape, outputs.dtype
            return KerasTensor(*self._seen_outputs[key])
        if draws(type(self).call):
            rehearse(self, *args, **kwargs)
        given = self._named(args, kwargs)
        names = list(inspect.signature(self.compute_output_shape).parameters)
        shapes = {
            f"{name}_shape": jax.tree.map(plain_shape, value)
            for name, value in given.items()
            if symbolic_in(value)
        }
        named = {name: shapes[name] for name in names if name in shapes} if len(names) > 1 else {}
        out = (
            self.compute_output_shape(**named)
            if named
            else self.compute_output_shape(next(iter(shapes.values())))
        )
        outputs = tree.map_shapes(lambda shape: KerasTensor(shape, self.compute_dtype), out)
        inputs = next(iter(given.values()))
        self._pass_masks(inputs, jax.tree.map(masks.get_mask, inputs), outputs)
        return outputs

    def _shape_key(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """What tells the shape of the output, if the config and the inputs' shapes do; or None."""
        ours = self._config_tells_shape and type(self).__module__.startswith("keraunos.layers.")
        inputs = jax.tree.leaves(args)
        plain = all(isinstance(t, KerasTensor) and t._keras_mask is None for t in inputs)
        if not ours or not plain or kwargs.keys() - {"training"}:
            return None
        config = repr({k: v for k, v in self.get_config().items() if k != "name"})
        if "'function'" in config:  # of the user's
            return None
        return type(self), config, tuple((t.shape, t.dtype) for t in inputs)

    # Masks -------------------------------------------------------------------------------

    def _found_masks(self, given: dict[str, Any]) -> dict[str, Any]:
        """The masks of the arguments, under the names that `call` has for them."""
        found = {}
        for place, (name, value) in enumerate(given.items()):
            first = place == 0 and "mask" in self._takes
            argument = "mask" if first else f"{name}_mask"
            if argument in self._takes and given.get(argument) is None:
                mask = jax.tree.map(masks.get_mask, value)
                if jax.tree.leaves(mask):
                    found[argument] = mask
        return found

    def _pass_masks(self, inputs, previous, outputs) -> None:
        leaves = jax.tree.leaves(outputs)
        if leaves and all(masks.get_mask(leaf) is not None for leaf in leaves):
            return
        if not self.supports_masking and type(self).compute_mask is Layer.compute_mask:
            if jax.tree.leaves(previous) and not symbolic_in(inputs):
                errors.warn(
                    f"{self._who} does not support masking: the mask of its input ends here, and "
                    "layers behind it do not see it. Set `self.supports_masking = True` in the "
                    "layer if each step of its output depends on that step of its input."
                )
            return
        found = self.compute_mask(inputs, previous)
        if found is None:
            return
        for leaf, mask in zip(leaves, jax.tree.leaves(found, is_leaf=tree.is_none)):
            if mask is not None:
                masks.set_mask(leaf, mask)

    # The same layer as a pure function ---------------------------------------------------

    def stateless_call(
        self,
        trainable_variables,
        non_trainable_variables,
        *args,
        return_losses: bool = False,
        **kwargs,
    ):
        """`(outputs, new values of non_trainable_variables)` for given values of the variables.

        With `return_losses`, also what `losses` would be.
        """
        self._check_built_for("stateless_call")
        trained, others = self.trainable_variables, self.non_trainable_variables
        for name, have, given in (
            ("trainable_variables", trained, trainable_variables),
            ("non_trainable_variables", others, non_trainable_variables),
        ):
            if len(have) != len(given):
                raise ValueError(f"{self._who} has {len(have)} `{name}`, got {len(given)} values.")
        values = [*trainable_variables, *non_trainable_variables]
        with StatelessScope(zip(trained + others, values, strict=True)) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
            updated = [scope.get_current_value(v) for v in others]
        return (outputs, updated, losses) if return_losses else (outputs, updated)

    def _check_built_for(self, method: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self._who} must be built before `{method}`: call it once on data, or "
                "`build(input_shape)`."
            )

    # Precision ---------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> dtypes.DTypePolicy:
        """What the layer computes with and stores."""
        policy = self._dtype_policy
        return (
            policy[self.path or self.name] if isinstance(policy, dtypes.DTypePolicyMap) else policy
        )

    @dtype_policy.setter
    def dtype_policy(self, value) -> None:
        self._dtype_policy = dtypes.get(value)

    @property
    def dtype(self) -> str:
        """The dtype of the variables."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        return self.dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self.dtype_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are stored: None as floats, or "int8", "int4", ..."""
        return self.dtype_policy.quantization_mode

    def quantize(
        self, mode: str | None = None, type_check: bool = True, config: Any = None
    ) -> None:
        """Store the weights in fewer bits, if the layer can."""
        raise NotImplementedError(f"{self._who} has no `quantize`: its weights stay floats.")

    def quantized_build(self, input_shape: Any, mode: str) -> None:
        """Make the variables of the weights as `mode` stores them."""
        raise NotImplementedError(f"{self._who} has no `quantized_build`: its weights stay floats.")

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """What `call` computes, for a layer that is quantized."""
        if self.quantization_mode is None:
            raise NotImplementedError(f"{self._who} is not quantized.")
        return self.call(*args, **kwargs)

    @property
    def input_dtype(self) -> str:
        """The dtype that float inputs are cast to."""
        return self.compute_dtype

    @property
    def _cast_dtype(self) -> str | None:
        differs = self.compute_dtype != self.variable_dtype
        return self.compute_dtype if self.autocast and differs else None

    def _cast(self, arguments):
        """Arrays on the device, floats among them in the compute dtype."""
        to = self.compute_dtype if self.autocast else None
        return jax.tree.map(functools.partial(_converted, to=to), arguments)

    # Files and looks ---------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same layer of."""
        base = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": registry.serialize(self._dtype_policy),
        }
        if self.activity_regularizer is not None and "activity_regularizer" not in self.__fields__:
            base["activity_regularizer"] = registry.serialize(self.activity_regularizer)
        return base | Configurable.get_config(self) | self._recorded()

    def _recorded(self) -> dict[str, Any]:
        """The arguments of a user's constructor, for a class that has no `get_config`."""
        cls = type(self)
        owner = next(c for c in cls.__mro__ if "__init__" in vars(c))
        described = next(c for c in cls.__mro__ if "get_config" in vars(c))
        if {"_path", "__fields__"} & vars(owner).keys() or issubclass(described, owner):
            return {}
        args, kwargs = self._given
        try:
            bound = inspect.signature(owner.__init__).bind(self, *args, **kwargs)
        except TypeError:
            return {}
        bound.apply_defaults()
        given = dict(list(bound.arguments.items())[1:])
        for parameter in bound.signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                given |= given.pop(parameter.name)
        plain = (type(None), bool, int, float, str)
        for name, value in given.items():
            if not all(isinstance(leaf, plain) for leaf in tree.flatten(value)):
                raise NotImplementedError(
                    f"{cls.__name__} needs a `get_config` method to be saved: its argument "
                    f"`{name}` is {value!r}, which a config cannot hold by itself."
                )
        return {k: v for k, v in given.items() if k not in ("name", "trainable", "dtype")}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={getattr(self, 'built', False)}>"

    if not TYPE_CHECKING:
        __getattr__ = past.member


# Pieces of the above ------------------------------------------------------------------------


def _building(build: Callable) -> Callable:
    """A class's `build`, with the names and marks around it."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def wrapped(self, *args, **kwargs):
        shapes = dict(list(signature.bind(self, *args, **kwargs).arguments.items())[1:])
        with self._being_built(shapes):
            return build(self, *args, **kwargs)

    return wrapped


def running() -> tuple[Layer | None, bool | None]:
    """The innermost layer whose `call` is running, and the training flag there."""
    return _running.get(), _training.get()


@contextlib.contextmanager
def training_is(flag: bool | None) -> Iterator[None]:
    """Within it, layers that are called run with this training flag."""
    with _set(_training, flag):
        yield


@functools.cache
def _signature(cls: type) -> inspect.Signature:
    return inspect.signature(cls.call)  # type: ignore[attr-defined]


@contextlib.contextmanager
def _set(variable: contextvars.ContextVar, value) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _converted(value, to: str | None):
    if isinstance(value, np.ndarray) and value.dtype.kind not in "USO":
        value = jnp.asarray(value)
    elif isinstance(value, Variable):
        value = value.value
    if (
        to is None
        or not isinstance(value, jax.Array)
        or not jnp.issubdtype(value.dtype, jnp.floating)
    ):
        return value
    if value.dtype == to:
        return value
    mask, cast = masks.get_mask(value), value.astype(to)
    if mask is not None:
        masks.set_mask(cast, mask)
    return cast


__all__ = ["InputSpec", "Layer", "plain_shape"]
