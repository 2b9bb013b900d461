"""What happens in one step, of training, evaluation or prediction, as pure functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from keraunos.core.graph import feeding, known
from keraunos.core.state import StatelessScope, Variable, pure
from keraunos.training.compiling import Compiling


class Steps(Compiling):
    """A layer that has a loss, and so knows a step towards less of it."""

    _optimizer_variables: Callable[[], list[Variable]]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The scalar to minimize: the compiled loss, and the losses that layers add."""
        compiled = self._needs_compile("compute_loss")
        parts = [jnp.sum(known(loss)) for loss in self.losses]
        if compiled.loss is not None:
            if y is None:
                raise ValueError(
                    f"`{self.name}` was compiled with the loss {compiled.config['loss']!r}, which "
                    "needs targets, but `y` is None."
                )
            parts.insert(0, compiled.loss(y, y_pred, sample_weight))
        if not parts:
            raise ValueError(
                f"`{self.name}` has no loss to minimize: give `compile` a `loss`, or call "
                "`add_loss` in a layer."
            )
        return sum(parts[1:], parts[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict:
        """Add a batch to the metrics; what they say now."""
        if self._compiled and self._compiled.metrics is not None and y is not None:
            self._compiled.metrics.update_state(y, y_pred, sample_weight=sample_weight)
        return self.get_metrics_result()

    def stateless_compute_loss(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
        """`compute_loss` as a pure function: `(loss, the three lists of values)`."""
        groups = self.trainable_variables, self.non_trainable_variables, self.metrics_variables
        given = trainable_variables, non_trainable_variables, metrics_variables
        run = pure(lambda: self.compute_loss(x, y, y_pred, sample_weight, training), *groups)
        return run(given)

    def train_step(self, state, data):
        """One step of gradient descent: `(logs, new state)`, as a pure function.

        `state` is `(trainable, non_trainable, optimizer, metrics)`, lists of values of
        these variables.
        """
        trainable, frozen, slots, meters = state
        optimizer = self._needs_compile("train_step").optimizer
        if optimizer is None:
            raise ValueError(f"`{self.name}` was compiled without an optimizer; `fit` needs one.")
        variables, kept = self.trainable_variables, self._optimizer_variables()

        def objective(trainable):
            (loss, logs), (_, frozen_, meters_) = self._forward(
                (trainable, frozen, meters), data, True
            )
            return optimizer.scale_loss(loss), (logs, frozen_, meters_)

        with StatelessScope(zip(kept, slots, strict=True)):
            gradients, (logs, frozen, meters) = jax.grad(objective, has_aux=True)(trainable)
        with StatelessScope([*zip(variables, trainable), *zip(kept, slots)]) as scope:
            optimizer.apply(gradients, variables)
            trainable = [scope.get_current_value(v) for v in variables]
            slots = [scope.get_current_value(v) for v in kept]
        return logs, (trainable, frozen, slots, meters)

    def test_step(self, state, data):
        """Loss and metrics of a batch: `(logs, new state)`, as a pure function."""
        (_, logs), state = self._forward(state, data, False)
        return logs, state

    def predict_step(self, state, data):
        """Outputs for a batch: `(outputs, new state)`, as a pure function."""
        trainable, frozen = state
        groups = self.trainable_variables, self.non_trainable_variables
        return pure(lambda: self._call(unpack(data)[0], False), *groups)((trainable, frozen))

    def _forward(self, values, data, training: bool):
        """`((loss, logs), new values)` of a batch."""
        x, y, sample_weight = unpack(data)

        def forward():
            y_pred = self._call(x, training)
            with feeding(lambda: self._fed(x)):
                loss = self.compute_loss(x, y, y_pred, sample_weight, training)
                tracker = self._needs_compile("train_step").tracker
                tracker.update_state(loss, sample_weight=jax.tree.leaves(x)[0].shape[0])
                return loss, self.compute_metrics(x, y, y_pred, sample_weight)

        groups = self.trainable_variables, self.non_trainable_variables, self.metrics_variables
        return pure(forward, *groups)(values)

    def compute_loss_and_updates(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x,
        y,
        sample_weight=None,
        training=False,
        optimizer_variables=None,
    ):
        """What a gradient is taken of, as a pure function of the values of variables.

        Returns `(loss to differentiate, (loss, y_pred, non_trainable, metrics))`; the former is
        scaled where the optimizer scales losses.
        """
        optimizer = self._needs_compile("compute_loss_and_updates").optimizer
        groups = self.trainable_variables, self.non_trainable_variables, self.metrics_variables

        def forward():
            y_pred = self._call(x, training)
            loss = self.compute_loss(x, y, y_pred, sample_weight, training)
            rows = jax.tree.leaves(x)[0].shape[0]
            self._needs_compile("train_step").tracker.update_state(loss, sample_weight=rows)
            return loss, y_pred

        values = trainable_variables, non_trainable_variables, metrics_variables
        (loss, y_pred), (_, frozen, meters) = pure(forward, *groups)(values)
        with StatelessScope(zip(optimizer.variables, optimizer_variables or ())):
            return optimizer.scale_loss(loss), (loss, y_pred, frozen, meters)

    def _fed(self, x) -> tuple[list, list]:
        """The symbolic inputs of the model, if it has some, and their values."""
        return [], []

    def _call(self, x, training: bool):
        return self(x, training=training) if "training" in self._takes else self(x)


def unpack(data: Any) -> tuple:
    """`(x, y, sample_weight)` of a batch; what it lacks is None."""
    data = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    return (*data, None, None)[:3]
