"""What users override: steps, losses, metrics, layers, as Keras's documentation shows."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import keraunos

LIBRARIES = keraunos, keras


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")


def functional(k, cls):
    inputs = k.Input((4,))
    return cls(inputs, k.layers.Dense(1, kernel_initializer="ones")(inputs))


def step_on_state(k):
    """`train_step(self, state, data)`, as the guide for JAX has it."""

    class Custom(k.Model):
        def compute_loss_and_updates(self, trainable, non_trainable, x, y, training=False):
            y_pred, non_trainable = self.stateless_call(
                trainable, non_trainable, x, training=training
            )
            return self.compute_loss(x, y, y_pred), (y_pred, non_trainable)

        def train_step(self, state, data):
            trainable, non_trainable, slots, meters = state
            x, y = data
            gradient = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)
            (loss, (y_pred, non_trainable)), grads = gradient(
                trainable, non_trainable, x, y, training=True
            )
            trainable, slots = self.optimizer.stateless_apply(slots, grads, trainable)
            new, logs = [], {}
            for metric in self.metrics:
                these = meters[len(new) : len(new) + len(metric.variables)]
                if metric.name == "loss":
                    these = metric.stateless_update_state(these, loss)
                else:
                    these = metric.stateless_update_state(these, y, y_pred)
                logs[metric.name] = metric.stateless_result(these)
                new += these
            return logs, (trainable, non_trainable, slots, new)

    return Custom


def test_a_train_step_on_state():
    x, y = data()
    losses = []
    for k in LIBRARIES:
        model = functional(k, step_on_state(k))
        model.compile("sgd", "mse")
        losses.append(model.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_plain_train_step_reads_and_assigns_variables():
    x, y = data()

    class Custom(keraunos.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.tracker = keraunos.metrics.Mean(name="mine")

        def train_step(self, data):
            x, y = data

            def loss(values):
                y_pred, _ = self.stateless_call(values, [], x)
                return jnp.mean(jnp.square(y_pred - y))

            value, grads = jax.value_and_grad(loss)([v.value for v in self.trainable_variables])
            self.optimizer.apply(grads, self.trainable_variables)
            self.tracker.update_state(value)
            return {"mine": self.tracker.result()}

    model = functional(keraunos, Custom)
    model.compile("sgd")
    history = model.fit(x, y, epochs=3, verbose=0).history
    plain = functional(keraunos, keraunos.Model)
    plain.compile("sgd", "mse")
    assert list(history) == ["mine"] and history["mine"][2] < history["mine"][0]


def history_of_own_parts(k):
    class Twice(k.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=False)

        def call(self, x):
            self.add_loss(1e-2 * k.ops.sum(k.ops.square(x)))
            return k.ops.matmul(x, self.w) + self.b

    class Cubic(k.losses.Loss):
        def call(self, y_true, y_pred):
            return k.ops.mean(k.ops.abs(y_true - y_pred) ** 3, axis=-1)

    class Largest(k.metrics.Metric):
        def __init__(self, name="largest", **kwargs):
            super().__init__(name=name, **kwargs)
            self.top = self.add_variable(shape=(), initializer="zeros", name="top")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.top.assign(k.ops.maximum(self.top, k.ops.max(y_pred)))

        def result(self):
            return self.top * 1.0

    class Own(k.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            return loss + 0.5

    x, y = data()
    inputs = k.Input((4,))
    model = Own(inputs, Twice(1)(inputs))
    model.compile("sgd", Cubic(), metrics=[Largest(), lambda t, p: k.ops.mean(p)])
    return model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history


def test_own_loss_metric_layer_and_compute_loss():
    ours, theirs = map(history_of_own_parts, LIBRARIES)
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(ours[name], np.asarray(theirs[name], float), rtol=1e-5)


def test_own_optimizer_initializer_constraint_callback():
    k = keraunos

    class Signs(k.optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * k.ops.sign(gradient))

    class Halves(k.initializers.Initializer):
        def __call__(self, shape, dtype=None, **kwargs):
            return k.ops.full(shape, 0.5, dtype)

    class Small(k.constraints.Constraint):
        def __call__(self, w):
            return k.ops.clip(w, -0.52, 0.52)

    class Stop(k.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    x, y = data()
    model = k.Sequential(
        [k.Input((4,)), k.layers.Dense(1, kernel_initializer=Halves(), kernel_constraint=Small())]
    )
    assert (model.get_weights()[0] == 0.5).all()
    model.compile(Signs(learning_rate=0.01), "mse")
    history = model.fit(x, y, epochs=5, verbose=0, callbacks=[Stop()])
    assert len(history.history["loss"]) == 2
    assert np.abs(model.get_weights()[0]).max() <= 0.52


def test_a_subclass_made_of_layers():
    class Net(keraunos.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [keraunos.layers.Dense(5, activation="relu") for _ in range(2)]
            self.drop = keraunos.layers.Dropout(0.5)
            self.out = keraunos.layers.Dense(1)

        def call(self, x, training=False):
            for layer in self.hidden:
                x = layer(x)
            return self.out(self.drop(x, training=training))

    x, y = data()
    model = Net()
    with pytest.raises(ValueError, match=r"must be compiled before `fit`.*model.compile"):
        model.fit(x, y)
    model.compile("adam", "mse")
    model.fit(x, y, epochs=1, verbose=0)
    assert [w.path for w in model.weights][:2] == ["net/dense/kernel", "net/dense/bias"]
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), rtol=1e-5)


def test_run_eagerly_runs_python():
    seen = []

    class Net(keraunos.layers.Layer):
        def call(self, x):
            seen.append(float(np.asarray(x).sum()))
            return x * 1.0

    x, y = data()
    inputs = keraunos.Input((4,))
    hidden = keraunos.layers.Dense(1)(inputs)
    model = keraunos.Model(inputs, hidden)
    model.compile("sgd", "mse", run_eagerly=True)

    def loss(y_true, y_pred):
        seen.append(np.shape(y_pred))
        return keraunos.ops.mean(keraunos.ops.square(y_true - y_pred), axis=-1)

    model.compile("sgd", loss, run_eagerly=True)
    model.evaluate(x, y, batch_size=8, verbose=0)
    assert seen == [(8, 1)] * 4


def test_a_model_may_hold_other_optimizers():
    class Two(keraunos.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.other = keraunos.optimizers.Adam()

    x, y = data()
    model = functional(keraunos, Two)
    model.compile("sgd", "mse")
    losses = model.fit(x, y, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0] and int(model.other.iterations) == 0
    model.compile(None, "mse")
    with pytest.raises(ValueError, match="compiled without an optimizer; `fit` needs one"):
        model.fit(x, y, verbose=0)
