"""What `compile` is told, and what it leaves on a model: optimizer, loss, metrics."""

import dataclasses
from typing import Any

from keraunos import optimizers
from keraunos.core import errors, past, registry
from keraunos.layers.layer import Layer
from keraunos.metrics import Mean, Metric
from keraunos.optimizers import Optimizer
from keraunos.training import rates
from keraunos.training.compiled import CompiledLoss, CompiledMetrics, checked_names
from keraunos.training.program import Program


@dataclasses.dataclass
class Compiled:
    """What `compile` was told, and what it made of it."""

    optimizer: Any
    loss: CompiledLoss | None
    metrics: CompiledMetrics | None
    tracker: Mean
    config: dict[str, Any]
    outputs: Any = None  # as symbolic tensors, once they are known
    trainable: dict[int, bool] = dataclasses.field(default_factory=dict)  # by ids of layers
    run_eagerly: bool = False
    steps_per_execution: int | None = None
    programs: dict[tuple, Program] = dataclasses.field(default_factory=dict)
    seen: Any = None  # the variable in which programs note steps that were not finite

    def __getstate__(self) -> dict[str, Any]:
        """Programs belong to this process and to these variables."""
        return {**vars(self), "programs": {}}


class Compiling(Layer):
    """A layer that can be told how it is to be trained."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_predictors"}

    stop_training: bool = False
    history: Any = None
    _compiled: Compiled | None = None
    _predictors: dict[tuple, Program]

    @errors.door
    @past.takes_old_names
    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | None = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose what to minimize, how, and what to report.

        Args:
            optimizer: One; or a dict of them by patterns of paths, as
                `{"backbone/*": Adam(1e-5), "*": Adam(1e-3)}`: the first pattern that fits counts.
            loss, loss_weights, metrics, weighted_metrics: One for all outputs, a list in
                their order, or a dict by their names. Metrics are not weighted by
                `sample_weight`, `weighted_metrics` are.
            run_eagerly: Run steps as plain Python, to debug them.
            steps_per_execution: Steps between calls of batch hooks. By default as many as
                callbacks can wait for; the numbers do not depend on it.
            jit_compile: Accepted; steps are always compiled unless `run_eagerly`.
            auto_scale_loss: With a float16 policy, wrap the optimizer in
                `LossScaleOptimizer`.
        """
        names = getattr(self, "output_names", None)
        checked_names("losses", loss)
        checked_names("metrics", [metrics, weighted_metrics])
        if rates.are_patterns(optimizer):
            found, optimizer = rates.by_pattern(self, optimizer)
        else:
            found = optimizers.get(optimizer)
        if auto_scale_loss and found is not None and self.dtype_policy.name == "mixed_float16":
            scaled = isinstance(found, optimizers.LossScaleOptimizer)
            found = found if scaled else optimizers.LossScaleOptimizer(found)
        has_metrics = metrics is not None or weighted_metrics is not None
        self._compiled = Compiled(
            optimizer=found,
            loss=None if loss is None else CompiledLoss(loss, loss_weights, names),
            metrics=CompiledMetrics(metrics, weighted_metrics, names=names)
            if has_metrics
            else None,
            tracker=Mean(name="loss"),
            config={
                "optimizer": optimizer,
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
                "run_eagerly": run_eagerly,
                "steps_per_execution": steps_per_execution,
                "jit_compile": jit_compile,
            },
            trainable={id(layer): layer.trainable for layer in self._flatten_layers()},
            run_eagerly=bool(run_eagerly),
            steps_per_execution=steps_per_execution,
        )
        self.stop_training = False

    # What compile left ---------------------------------------------------------------------

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def optimizer(self) -> Any:
        return self._compiled.optimizer if self._compiled else vars(self).get("_own_optimizer")

    @optimizer.setter
    def optimizer(self, value: Any) -> None:
        if self._compiled:
            self._compiled.optimizer = value
        else:
            self._own_optimizer = value

    @property
    def loss(self) -> Any:
        return self._compiled.config["loss"] if self._compiled else vars(self).get("_own_loss")

    @loss.setter
    def loss(self, value: Any) -> None:
        self._own_loss = value

    @property
    def run_eagerly(self) -> bool:
        return bool(self._compiled and self._compiled.run_eagerly)

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._needs_compile("run_eagerly").run_eagerly = bool(value)

    @property
    def steps_per_execution(self) -> int:
        return (self._compiled and self._compiled.steps_per_execution) or 1

    @steps_per_execution.setter
    def steps_per_execution(self, value: int) -> None:
        self._needs_compile("steps_per_execution").steps_per_execution = value

    @property
    def jit_compile(self) -> bool:
        return not self.run_eagerly

    @property
    def metrics(self) -> list[Metric]:
        """The loss, the metrics of `compile`, losses of outputs, what the model and layers hold."""
        if self._compiled is None:
            return super().metrics
        compiled = self._compiled
        first = [m for m in (compiled.tracker, compiled.metrics) if m is not None]
        return first + (compiled.loss.metrics if compiled.loss else []) + super().metrics

    @property
    def metrics_names(self) -> list[str]:
        """Of what `evaluate` returns, in its order."""
        names = lambda m: m.names if isinstance(m, CompiledMetrics) else [m.name]
        return [name for metric in self.metrics for name in names(metric)]

    def reset_metrics(self) -> None:
        """Start all metrics again."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """What all metrics say now, by name."""
        found: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    def _needs_compile(self, method: str) -> Compiled:
        if self._compiled is None:
            raise ValueError(
                f"`{self.name}` must be compiled before `{method}`: call "
                "`model.compile(optimizer=..., loss=...)` first."
            )
        return self._compiled

    # Files -------------------------------------------------------------------------------------

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile_from_config` takes; None if `compile` was not called."""
        if self._compiled is None:
            return None
        config = dict(self._compiled.config)
        if not rates.are_patterns(config["optimizer"]):
            config["optimizer"] = self._compiled.optimizer
        return {name: registry.serialize(value) for name, value in config.items()}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as another model was."""
        given = {name: registry.deserialize(value) for name, value in config.items()}
        self.compile(**given)
        if self.built and isinstance(self.optimizer, Optimizer):
            self.optimizer.build(self.trainable_variables)
