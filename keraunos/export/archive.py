"""Programs of models in a file, and the weights beside them.

The file is a zip: `archive.json` says what is in it, `endpoints/<name>.mlirbc` is a program in
portable StableHLO whose first arguments are all weights, `variables/<number>` are the bytes of
one. Reading it runs nothing, and calling an endpoint nothing but its program.
"""

import json
import zipfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keraunos.core import config, console, tree
from keraunos.core.fields import did_you_mean
from keraunos.core.graph import KerasTensor
from keraunos.core.state import StatelessScope, Variable
from keraunos.export.program import describe, pack
from keraunos.layers.layer import Layer
from keraunos.saving.files import as_path, replaced

FORMAT = "stablehlo"
_FOREIGN = {
    "tf_saved_model": "TensorFlow",
    "saved_model": "TensorFlow",
    "onnx": "ONNX",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
    "torch": "PyTorch",
}
_PLATFORMS = ("cpu", "cuda", "tpu")


def check_format(who: str, format: Any) -> None:
    """Say what is possible if `format` is not ours."""
    if format == FORMAT:
        return
    known = [FORMAT, *_FOREIGN]
    if format not in known:
        raise ValueError(
            f"{who} got `format={format!r}`, which is none of {', '.join(known)}"
            f"{did_you_mean(str(format), known)}"
        )
    raise NotImplementedError(
        f"{who} cannot write `format={format!r}`: there is one engine here, XLA, and no "
        f"{_FOREIGN[format]}. Write `format={FORMAT!r}`, which "
        "`keraunos.export.load` reads; or save the model by `model.save('model.keras')` and "
        "export it from there with Keras."
    )


class _Watching(StatelessScope):
    """A scope that remembers which variables were used, and which were assigned."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.used: dict[int, Variable] = {}
        self.assigned: dict[int, Variable] = {}

    def get_current_value(self, variable: Variable):
        self.used[id(variable)] = variable
        return super().get_current_value(variable)

    def add_update(self, update) -> None:
        self.used[id(update[0])] = self.assigned[id(update[0])] = update[0]
        super().add_update(update)


class ExportArchive:
    """Functions of layers and models, to be written as programs into one file.

        archive = ExportArchive("stablehlo")
        archive.track(model)
        archive.add_endpoint("serve", model.call, [keras.InputSpec(shape=(None, 3))])
        archive.write_out("model.stablehlo")

    Args:
        format: "stablehlo". That of Keras, "saved_model", needs TensorFlow and is refused.
        platforms: Where the programs are to run: "cpu", "cuda", "rocm", "tpu".
    """

    def __init__(self, format: str = "saved_model", **kwargs: Any):
        check_format("ExportArchive", format)
        self.platforms = tuple(kwargs.pop("platforms", _PLATFORMS))
        if kwargs:
            raise TypeError(f"ExportArchive() got an unexpected argument {next(iter(kwargs))!r}.")
        self._variables: dict[int, Variable] = {}
        self._endpoints: dict[str, tuple[Callable, tuple, bool]] = {}
        self._collections: dict[str, list[Variable]] = {}

    @property
    def variables(self) -> list[Variable]:
        """The variables that are written: of what is tracked, and those that endpoints use."""
        return list(self._variables.values())

    @property
    def trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        return [v for v in self.variables if not v.trainable]

    def track(self, resource: Any) -> None:
        """Write the variables of a built layer or model, whether endpoints use them or not."""
        if not isinstance(resource, Layer):
            raise ValueError(f"ExportArchive.track() needs a layer or a model, got {resource!r}.")
        if not resource.built:
            raise ValueError(
                f"{resource._who} has not been built, so it has no variables to export. Call it "
                "on data first, or `build(input_shape)`."
            )
        self._keep(resource.variables)

    def _keep(self, variables: Any) -> None:
        self._variables |= {id(v): v for v in variables}

    def track_and_add_endpoint(
        self, name: str, resource: Any, input_signature: Any, **kwargs: Any
    ) -> Callable:
        """`track` a layer or model, and make calling it an endpoint."""
        self.track(resource)
        return self.add_endpoint(name, resource, input_signature, **kwargs)

    def add_endpoint(
        self, name: str, fn: Callable, input_signature: Any = None, **kwargs: Any
    ) -> Callable:
        """Have `fn` written as the program `name`; returns `fn`.

        Args:
            input_signature: The positional arguments of `fn`, as a list of `InputSpec`, symbolic
                tensors or arrays, or nested lists and dicts of these. Sizes of None are free in
                the program, and equal on the same axis. Of a functional model it is known.
            is_static: False if the program is to keep what it assigns to variables, as the
                positions of seeds, from one call to the next.
        """
        is_static = kwargs.pop("is_static", True)
        kwargs.pop("jax2tf_kwargs", None)
        if kwargs:
            raise TypeError(f"add_endpoint() got an unexpected argument {next(iter(kwargs))!r}.")
        self._check_new(name)
        if input_signature is None:
            input_signature = signature_of(getattr(fn, "__self__", fn))
        arguments = tuple(_symbolic(input_signature))
        with (scope := _Watching()):
            try:
                jax.eval_shape(fn, *arguments)
            except Exception as error:
                error.add_note(
                    f"While the endpoint {name!r} was traced on {arguments}. Where unknown sizes "
                    "are the reason, give an `input_signature` without None."
                )
                raise
        self._keep(scope.used.values())
        self._endpoints[name] = (fn, arguments, is_static is not False)
        return fn

    def _check_new(self, name: Any) -> None:
        taken = {*dir(self), "endpoints", *self._endpoints, *self._collections}
        if not str(name).isidentifier() or name in taken:
            raise ValueError(
                f"ExportArchive needs a name that is new and that Python allows, got {name!r}."
            )

    def add_variable_collection(self, name: str, variables: Any) -> None:
        """Write variables that the file, read again, gives as a list under `name`."""
        if not isinstance(variables, (list, tuple, set)) or not all(
            isinstance(v, Variable) for v in variables
        ):
            raise ValueError(
                "ExportArchive.add_variable_collection() needs a list of `keras.Variable`, got "
                f"{variables!r}."
            )
        self._check_new(name)
        self._keep(variables)
        self._collections[name] = list(variables)

    def write_out(self, filepath: Any, options: Any = None, verbose: bool = True) -> None:
        """Write the file, which `keraunos.export.load` reads.

        Args:
            options: Accepted; there are none.
            verbose: Whether to print what was written.
        """
        if not self._endpoints:
            raise ValueError("ExportArchive.write_out() has no endpoints: `add_endpoint` first.")
        path, variables = as_path(filepath), self.variables
        places = {id(v): i for i, v in enumerate(variables)}
        described = {
            "format": 1,
            "jax": jax.__version__,
            "variables": [
                {"path": v.path, "shape": v.shape, "dtype": v.dtype, "trainable": v.trainable}
                for v in variables
            ],
            "collections": {
                name: [places[id(v)] for v in held] for name, held in self._collections.items()
            },
            "endpoints": {},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as file:
            for name, endpoint in self._endpoints.items():
                program, kept, structures = self._program(*endpoint)
                file.writestr(f"endpoints/{name}.mlirbc", program.mlir_module_serialized)
                described["endpoints"][name] = {
                    **describe(program),
                    **structures,
                    "assigns": [places[id(v)] for v in kept],
                }
            for i, variable in enumerate(variables):
                file.writestr(f"variables/{i}", np.asarray(variable.numpy()).tobytes())
            file.writestr("archive.json", json.dumps(described, indent=1))
        if verbose:
            console.say(f"Saved artifact at '{path}'. The following endpoints are available:\n")
            for name, (_, arguments, _) in self._endpoints.items():
                shown = ", ".join(f"{a.dtype}{list(a.shape)}" for a in jax.tree.leaves(arguments))
                console.say(f"* Endpoint '{name}'\n  {shown}")

    def _program(self, fn: Callable, arguments: tuple, is_static: bool):
        """The program, the variables it gives new values of, the structures of its arguments."""
        from jax import export  # takes long to import

        variables, kept, structures = self.variables, [], {"takes": pack(arguments)}
        leaves, treedef = jax.tree.flatten(arguments)

        def run(*arrays):
            values, args = arrays[: len(variables)], arrays[len(variables) :]
            with (scope := _Watching(zip(variables, values, strict=True))):
                outputs = fn(*jax.tree.unflatten(treedef, args))
                kept[:] = [] if is_static else scope.assigned.values()
                structures["gives"] = pack(outputs)
                return jax.tree.leaves(outputs) + [scope.get_current_value(v) for v in kept]

        values = [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]
        program = export.export(jax.jit(run), platforms=self.platforms)(*values, *leaves)
        return program, kept, structures


def signature_of(resource: Any) -> list:
    """The arguments that a layer or a model takes: of its graph, or what it was built with."""
    if (graph := getattr(resource, "_graph", None)) is not None:
        return [graph._inputs_struct]
    shapes = getattr(resource, "_build_shapes", None)
    if not shapes:
        raise ValueError(
            "An endpoint needs an `input_signature`, a list of `keras.InputSpec`, unless it is a "
            f"model whose input is known or that was called; got none for {resource!r}."
        )
    of = lambda shape: KerasTensor((None, *shape[1:]), resource.input_dtype)
    return [tree.map_shapes(of, shape) for shape in shapes.values()]


def _symbolic(signature: Any) -> list:
    """Shapes and dtypes, with a symbol for each axis of unknown size."""
    from jax import export

    signature = list(signature) if isinstance(signature, (list, tuple)) else [signature]
    leaves, treedef = jax.tree.flatten(signature)
    for leaf in leaves:
        if getattr(leaf, "shape", None) is None:
            raise ValueError(
                "An `input_signature` is made of `keras.InputSpec(shape=...)`, symbolic tensors "
                f"or arrays, got {leaf!r}."
            )
    rank = max((len(leaf.shape) for leaf in leaves), default=0)
    names = ", ".join(["batch", *(f"axis{i}" for i in range(1, rank))])
    symbols = export.symbolic_shape(names)

    def one(leaf):
        shape = tuple(symbols[i] if n is None else n for i, n in enumerate(leaf.shape))
        dtype = leaf.dtype or config.floatx()
        if dtype == "string":
            raise TypeError(
                "Strings never enter a program: export the model that begins behind the layers "
                "that look them up, and call these on the data before it."
            )
        return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))

    return jax.tree.unflatten(treedef, map(one, leaves))


def export_model(
    model: Any,
    filepath: Any,
    format: str = "tf_saved_model",
    verbose: bool | None = None,
    input_signature: Any = None,
    **kwargs: Any,
) -> None:
    """Write calling the model as the endpoint `serve`; see `Model.export`."""
    check_format("Model.export()", format)
    platforms = kwargs.pop("platforms", _PLATFORMS)
    if not isinstance(input_signature, (list, tuple, type(None))):
        input_signature = [input_signature]
    graph = getattr(model, "_graph", None)
    if graph is not None and input_signature is not None and len(input_signature) > 1:
        input_signature = [input_signature]  # the one argument of such a model is the list
    archive = ExportArchive(format, platforms=platforms)
    archive.add_endpoint("serve", model, input_signature, **kwargs)
    archive.track(model)
    archive.write_out(filepath, verbose=verbose is not False)


__all__ = ["ExportArchive", "export_model"]
