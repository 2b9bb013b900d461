"""Public `keras.distillation`: a small model that learns from a large one."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from keraunos import losses, ops
from keraunos.core import registry, tree
from keraunos.core.state import StatelessScope
from keraunos.layers.layer import plain_shape
from keraunos.metrics import Mean
from keraunos.models import Model
from keraunos.training.compiled import Outputs, is_loss

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]


class DistillationLoss:
    """Base class: define `compute_loss`, and `get_config` if it is to be saved."""

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """A scalar: how far the student is from the teacher."""
        raise NotImplementedError(
            f"{type(self).__name__} must define `compute_loss(teacher_outputs, student_outputs)`."
        )

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Raise a ValueError if there is not an output of the student for each of the teacher."""
        mine, yours = jax.tree.structure(student_outputs), jax.tree.structure(teacher_outputs)
        if mine != yours:
            raise ValueError(
                f"{type(self).__name__} needs as many outputs of the student as of the teacher, "
                f"got {mine.num_leaves} in {mine} and {yours.num_leaves} in {yours}."
            )

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Raise a ValueError if the loss cannot be computed for these models."""


class _ByOutput(DistillationLoss):
    """A loss for all outputs, or one for each; None leaves an output out."""

    def __init__(self, loss: Any):
        get = lambda one: None if one is None else losses.get(one)
        self.loss = get(loss) if is_loss(loss) or loss is None else jax.tree.map(get, loss)
        if all(one is None for one in tree.flatten(self.loss)):
            raise ValueError(
                f"{type(self).__name__} needs at least one loss that is not None for `loss`, "
                f"got {loss!r}."
            )

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        self.validate_outputs(teacher_outputs, student_outputs)
        outputs = Outputs(student_outputs)
        wanted = outputs.spread(self.loss, "loss", is_loss)
        pairs = zip(wanted, jax.tree.leaves(teacher_outputs), outputs.leaves)
        return sum(jnp.mean(self._one(loss, *pair)) for loss, *pair in pairs if loss is not None)

    def _one(self, loss, teacher_output, student_output):
        return loss(teacher_output, student_output)

    def get_config(self) -> dict[str, Any]:
        each = lambda loss: registry.named(loss) if hasattr(loss, "__name__") else loss
        return {"loss": registry.serialize(jax.tree.map(each, self.loss))}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        return cls(**registry.deserialize(config))


@registry.export("distillation.LogitsDistillation")
class LogitsDistillation(_ByOutput):
    """A loss between the logits of both models, divided by a temperature. Hinton et al., 2015,
    arXiv:1503.02531

    Args:
        loss: A loss, or a list or dict of them by the outputs, None for those to leave out. The
            instance `KLDivergence()` is the paper's: between softmaxes, times the square of the
            temperature. Any other is given the divided logits as they are, the name
            "kl_divergence" too, as in Keras.
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence"):
        if not isinstance(temperature, (int, float)) or temperature <= 0:
            raise ValueError(
                f"LogitsDistillation needs a number above 0 for `temperature`, got {temperature!r}."
            )
        self.temperature = temperature
        super().__init__(loss)

    def _one(self, loss, teacher_output, student_output):
        logits = [x / self.temperature for x in (teacher_output, student_output)]
        if isinstance(loss, losses.KLDivergence):
            return loss(*map(ops.softmax, logits)) * self.temperature**2
        return loss(*logits)

    def get_config(self) -> dict[str, Any]:
        return {"temperature": self.temperature, **super().get_config()}


@registry.export("distillation.FeatureDistillation")
class FeatureDistillation(_ByOutput):
    """A loss between what layers within both models give.

    Args:
        loss: A loss, or a list or dict of them by the outputs, None for those to leave out.
        teacher_layer_name, student_layer_name: Of layers of functional models; the models'
            outputs by default.
    """

    def __init__(
        self,
        loss: Any = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ):
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name
        super().__init__(loss)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        names = ("teacher", self.teacher_layer_name), ("student", self.student_layer_name)
        for (role, name), model in zip(names, (teacher, student)):
            if name is None:
                continue
            if model.inputs is None:
                raise ValueError(
                    f"FeatureDistillation finds layers by name in functional and Sequential "
                    f"models only, the {role} {model.name!r} is neither. Leave "
                    f"`{role}_layer_name` out to compare the outputs of the models."
                )
            try:
                model.get_layer(name)
            except ValueError as error:
                raise ValueError(f"In {role} model: {error}") from None

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
        }


@registry.export("distillation.Distiller")
class Distiller(Model):
    """A student that is trained on targets, and on what a teacher makes of the same inputs.

    Its outputs are the student's. The loss is `student_loss_weight` times the compiled loss and
    the rest times the weighted distillation losses; penalties on weights are not in it.

    Args:
        teacher: A trained model; it is frozen.
        student: The model to train; afterwards it stands on its own.
        distillation_losses: One, or a list.
        distillation_loss_weights: A number for each; 1 by default.
        student_loss_weight: From 0 to 1.
    """

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: Any,
        distillation_loss_weights: Any = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        for role, model in (("teacher", teacher), ("student", student)):
            if not isinstance(model, Model):
                raise ValueError(f"Distiller needs a model for `{role}`, got {model!r}.")
        given = distillation_losses
        losses_ = list(given) if isinstance(given, (list, tuple)) else [given]
        if not all(hasattr(loss, "validate_model_compatibility") for loss in losses_):
            raise ValueError(
                "Distiller needs distillation losses, as LogitsDistillation(), for "
                f"`distillation_losses`, got {given!r}."
            )
        weights = distillation_loss_weights
        weights = [1.0] * len(losses_) if weights is None else list(weights)
        if len(weights) != len(losses_):
            raise ValueError(
                f"Number of distillation_loss_weights ({len(weights)}) must match number of "
                f"distillation_losses ({len(losses_)})"
            )
        number = isinstance(student_loss_weight, (int, float))
        if not number or not 0 <= student_loss_weight <= 1:
            raise ValueError(
                "Distiller needs a number from 0 to 1 for `student_loss_weight`, got "
                f"{student_loss_weight!r}."
            )
        for what in ("input", "output"):
            mine, yours = (_shapes(getattr(model, f"{what}s")) for model in (teacher, student))
            if mine is not None and yours is not None and mine != yours:
                raise ValueError(
                    f"Teacher and student {what} shapes are incompatible. "
                    f"Teacher: {mine}, Student: {yours}. All dimensions must match."
                )
        for loss in losses_:
            loss.validate_model_compatibility(teacher, student)
        teacher.trainable = False
        self.teacher, self.student = teacher, student
        self.distillation_losses, self.distillation_loss_weights = losses_, weights
        self.student_loss_weight = student_loss_weight
        self.student_loss_tracker = Mean(name="student_loss")
        self.distillation_loss_tracker = Mean(name="distillation_loss")
        self.total_loss_tracker = Mean(name="total_loss")

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Choose the student's loss, which it needs unless that has the weight 0, and the rest."""
        if loss is None and self.student_loss_weight:
            raise ValueError(
                "Distiller needs a `loss` for the student: pass it to `compile`, or make the "
                "Distiller with `student_loss_weight=0`."
            )
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, **kwargs: Any) -> Any:
        return self.student(inputs, training=training, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The weighted sum of the student's loss and the distillation losses.

        `sample_weight` is not used, as in Keras. Without `y`, the student's loss is 0.
        """
        share, compiled = self.student_loss_weight, self._needs_compile("compute_loss")
        y_pred = self(x, training=training) if y_pred is None else y_pred
        student_loss: Any = jnp.zeros(())
        if share and y is not None and compiled.loss is not None:
            student_loss = compiled.loss(y, y_pred)
        distilled: Any = jnp.zeros(())
        if share < 1:
            distilled = self._distillation_loss(x, y_pred, training)
        total = share * student_loss + (1 - share) * distilled
        self.student_loss_tracker.update_state(student_loss)
        self.distillation_loss_tracker.update_state(distilled)
        self.total_loss_tracker.update_state(total)
        return total

    def _distillation_loss(self, x, y_pred, training):
        names = [
            [getattr(loss, f"{role}_layer_name", None) for loss in self.distillation_losses]
            for role in ("teacher", "student")
        ]
        whole = self.teacher(x, training=False) if None in names[0] else None
        theirs = _features(self.teacher, names[0], x, whole, False)
        with StatelessScope():  # a second look at the student changes no statistics
            ours = _features(self.student, names[1], x, y_pred, training)
        parts = zip(self.distillation_losses, self.distillation_loss_weights, theirs, ours)
        return sum(weight * loss.compute_loss(a, b) for loss, weight, a, b in parts)

    def get_config(self) -> dict[str, Any]:
        mine = {
            "teacher": self.teacher,
            "student": self.student,
            "distillation_losses": self.distillation_losses,
            "distillation_loss_weights": self.distillation_loss_weights,
            "student_loss_weight": self.student_loss_weight,
        }
        base = {"name": self.name, "trainable": self._trainable, "dtype": self._dtype_policy}
        return {key: registry.serialize(value) for key, value in (base | mine).items()}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping | None = None):
        given = {k: registry.deserialize(v, custom_objects) for k, v in config.items()}
        return cls(**given)


def _shapes(symbols: Any) -> Any:
    """The shapes of symbolic tensors, of one alone if there is one; None if they are unknown."""
    shapes = [plain_shape(t) for t in symbols or ()]
    return shapes[0] if len(shapes) == 1 else shapes or None


def _features(model, names, x, outputs, training) -> list:
    """What the layers of these names give for `x`; `outputs` for None."""
    wanted = {name: model.get_layer(name).output for name in names if name is not None}
    found = Model(model.input, wanted)(x, training=training) if wanted else {}
    return [outputs if name is None else found[name] for name in names]
