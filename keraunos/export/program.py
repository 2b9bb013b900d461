"""Programs and structures of arrays as JSON, and back.

`jax.export` writes a program as one opaque piece, by a package that need not be there. Here its
StableHLO stands by itself, as any reader of StableHLO takes it, and the rest is text.
"""

from typing import Any

import jax
from jax.core import ShapedArray


def describe(program: Any) -> dict[str, Any]:
    """All of an exported program but its module."""
    if program.ordered_effects or program.unordered_effects:
        raise ValueError(
            f"{program.fun_name}() has effects besides its outputs, as prints or calls of Python "
            "have: no file can hold these. Take them out before it is exported."
        )
    return {
        "inputs": [_text(aval) for aval in program.in_avals],
        "outputs": [_text(aval) for aval in program.out_avals],
        "platforms": list(program.platforms),
        "calling_convention_version": program.calling_convention_version,
        "module_kept_var_idx": list(program.module_kept_var_idx),
        "uses_global_constants": program.uses_global_constants,
    }


def revive(name: str, about: dict[str, Any], module: bytes) -> Any:
    """The exported program that was described; it takes and gives flat arrays."""
    from jax import export  # takes long to import

    scope = export.SymbolicScope()
    avals = [
        tuple(
            ShapedArray(export.symbolic_shape(shape, scope=scope), dtype) for dtype, shape in each
        )
        for each in (about["inputs"], about["outputs"])
    ]
    inputs, outputs = ((None,) * len(each) for each in avals)
    return export.Exported(
        fun_name=name,
        in_tree=jax.tree.structure((inputs, {}), is_leaf=lambda x: x is None),
        out_tree=jax.tree.structure(list(outputs), is_leaf=lambda x: x is None),
        in_avals=avals[0],
        out_avals=avals[1],
        _has_named_shardings=True,
        _in_named_shardings=inputs,
        _out_named_shardings=outputs,
        in_shardings_hlo=inputs,
        out_shardings_hlo=outputs,
        nr_devices=1,
        platforms=tuple(about["platforms"]),
        ordered_effects=(),
        unordered_effects=(),
        disabled_safety_checks=(),
        mlir_module_serialized=module,
        calling_convention_version=about["calling_convention_version"],
        module_kept_var_idx=tuple(about["module_kept_var_idx"]),
        uses_global_constants=about["uses_global_constants"],
        _get_vjp=None,
    )


def _text(aval) -> tuple[str, str]:
    return aval.dtype.name, ",".join(map(str, aval.shape))


def pack(structure: Any) -> Any:
    """Nested lists, tuples and dicts as JSON; a leaf is the text "*"."""
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {"dict": {key: pack(structure[key]) for key in sorted(structure)}}
    if isinstance(structure, (list, tuple)):
        return {type(structure).__name__: [pack(item) for item in structure]}
    return "*"


def unpack(packed: Any, leaves: Any) -> Any:
    """The structure that `pack` described, with leaves from an iterator."""
    if packed is None:
        return None
    if packed == "*":
        return next(leaves)
    ((kind, items),) = packed.items()
    if kind == "dict":
        return {key: unpack(item, leaves) for key, item in items.items()}
    made = [unpack(item, leaves) for item in items]
    return made if kind == "list" else tuple(made)
