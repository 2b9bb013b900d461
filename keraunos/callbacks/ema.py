"""The callback that shows a model with the running means of its weights."""

from typing import Any

from keraunos.callbacks.callback import Callback
from keraunos.core import registry, state
from keraunos.core.fields import checked


@registry.export("callbacks.SwapEMAWeights")
class SwapEMAWeights(Callback):
    """Evaluate and predict with the running means of the weights (Polyak averaging).

    The optimizer keeps them: `use_ema=True`. The weights come back for training.

    Args:
        swap_on_epoch: Whether the means are also in the model from the end of an epoch to the
            start of the next, for callbacks that come later in the list, as `ModelCheckpoint`.

    Differs: the weights wait in the callback, not in the optimizer, so that a training that is
    stopped early ends with the means too, and optimizers are saved with the means they keep.
    """

    @checked
    def __init__(self, swap_on_epoch: bool = False):
        super().__init__()
        self.swap_on_epoch = bool(swap_on_epoch)
        self._weights: Any = None  # while the means are in the model
        self._until: str | None = None

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        optimizer = model.optimizer  # or one that it wraps
        if optimizer is not None and not any(
            getattr(o, "use_ema", False) for o in [optimizer, *state.walk(optimizer)]
        ):
            raise ValueError(
                "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. "
                "Received: use_ema=False"
            )

    def _show(self, until: str) -> None:
        optimizer = self.model.optimizer
        if self._weights is None and optimizer is not None and optimizer.built:
            variables = optimizer._trainable_variables
            self._weights, self._until = [v.value for v in variables], until
            optimizer.finalize_variable_values(variables)
            state.keep_what_others_hold(variables)  # the means stay the optimizer's

    def _hide(self, now: str) -> None:
        if self._until == now:
            for variable, value in zip(self.model.optimizer._trainable_variables, self._weights):
                variable.assign(value)
            self._weights = self._until = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._hide("epoch")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.swap_on_epoch:
            self._show("epoch")

    def on_train_end(self, logs: dict | None = None) -> None:
        self._weights = self._until = None  # `fit` has left the means in the model

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._show("test")

    def on_test_end(self, logs: dict | None = None) -> None:
        self._hide("test")

    def on_predict_begin(self, logs: dict | None = None) -> None:
        self._show("predict")

    def on_predict_end(self, logs: dict | None = None) -> None:
        self._hide("predict")
