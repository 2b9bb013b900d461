"""Distillation beside Keras's: the same weights, the same numbers."""

import keras
import numpy as np
import pytest

import keraunos
from keraunos.distillation import Distiller, FeatureDistillation, LogitsDistillation
from tests.oracle import close

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 5)).astype("float32")
Y = RNG.integers(0, 3, 8)
A, B = RNG.normal(size=(2, 8, 3)).astype("float32")


def net(library, units=4, outputs=3, seed=0, **options):
    """A model of two layers, `hidden` and `last`, whose weights are those of `seed`."""
    inputs = library.Input((5,))
    hidden = library.layers.Dense(units, "relu", name="hidden")(inputs)
    model = library.Model(inputs, library.layers.Dense(outputs, name="last", **options)(hidden))
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.get_weights()])
    return model


LOSSES = [
    lambda m: m.distillation.LogitsDistillation(),
    lambda m: m.distillation.LogitsDistillation(2.0, m.losses.KLDivergence()),
    lambda m: m.distillation.LogitsDistillation(2.0, "mse"),
    lambda m: m.distillation.LogitsDistillation(
        2, m.losses.CategoricalCrossentropy(from_logits=True)
    ),
    lambda m: m.distillation.FeatureDistillation(),
    lambda m: m.distillation.FeatureDistillation(m.losses.KLDivergence()),
    lambda m: m.distillation.FeatureDistillation("cosine_similarity", "hidden", "hidden"),
]


@pytest.mark.parametrize("make", LOSSES)
def test_losses_and_their_configs(make):
    ours, theirs = make(keraunos), make(keras)
    close(float(ours.compute_loss(A, B)), float(theirs.compute_loss(A, B)))
    assert ours.get_config() == theirs.get_config()
    again = type(ours).from_config(ours.get_config())
    close(float(again.compute_loss(A, B)), float(ours.compute_loss(A, B)))


def test_losses_of_several_outputs():
    for given in (["mse", None], ["mse", "mae"]):
        ours, theirs = (m.distillation.LogitsDistillation(2.0, given) for m in (keraunos, keras))
        close(float(ours.compute_loss([A, A], [B, B])), float(theirs.compute_loss([A, A], [B, B])))
    one = FeatureDistillation({"a": "mse", "b": None}).compute_loss(
        {"a": A, "b": A}, {"a": B, "b": B}
    )
    close(float(one), float(FeatureDistillation().compute_loss(A, B)))


def test_training_is_that_of_keras():
    logs = []
    for m in (keraunos, keras):
        d = m.distillation
        student = net(m, seed=5)
        losses = [d.LogitsDistillation(), d.FeatureDistillation("mse", "hidden", "hidden")]
        distiller = d.Distiller(net(m), student, losses, [1.0, 0.5], student_loss_weight=0.3)
        distiller.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = distiller.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
        values = distiller.evaluate(X, Y, verbose=0)
        logs.append(([history, values, distiller.predict(X, verbose=0)], distiller))
        close(distiller.predict(X, verbose=0), student.predict(X, verbose=0))
    (mine, ours), (yours, theirs) = logs
    close(mine, yours)
    named = [name.replace("compile_metrics", "accuracy") for name in theirs.metrics_names]
    assert ours.metrics_names == named  # as `evaluate` returns them
    assert sorted(ours.get_config()) == sorted(theirs.get_config())
    assert len(ours.trainable_variables) == 4 and not ours.teacher.trainable


def test_a_share_of_none_leaves_a_part_out():
    teacher, student = net(keraunos), net(keraunos, seed=5)
    only = Distiller(teacher, student, LogitsDistillation(), student_loss_weight=0)
    only.compile("sgd")
    logs = only.evaluate(X, verbose=0, return_dict=True)
    close(logs["loss"], float(LogitsDistillation().compute_loss(teacher(X), student(X))))
    plain = Distiller(teacher, student, LogitsDistillation(), student_loss_weight=1)
    plain.compile("sgd", "sparse_categorical_crossentropy")
    assert plain.evaluate(X, Y, verbose=0, return_dict=True)["distillation_loss"] == 0


def test_a_distiller_is_saved_whole(tmp_path):
    losses = [LogitsDistillation(2.0), FeatureDistillation("mse", "hidden", "hidden")]
    distiller = Distiller(net(keraunos), net(keraunos, seed=5), losses)
    distiller.compile("sgd", "sparse_categorical_crossentropy")
    distiller.save(tmp_path / "d.keras")
    loaded = keraunos.models.load_model(tmp_path / "d.keras")
    close(loaded.evaluate(X, Y, verbose=0), distiller.evaluate(X, Y, verbose=0))


def test_a_second_look_at_the_student_counts_its_batch_once():
    inputs = keraunos.Input((5,))
    normal = keraunos.layers.BatchNormalization(momentum=0.5, name="hidden")
    student = keraunos.Model(inputs, keraunos.layers.Dense(3)(normal(inputs)))
    teacher = net(keraunos, units=5)
    distiller = Distiller(teacher, student, FeatureDistillation("mse", "hidden", "hidden"))
    distiller.compile("sgd", "sparse_categorical_crossentropy")
    distiller.fit(X, Y, batch_size=8, verbose=0)
    close(normal.moving_mean.numpy(), X.mean(0) / 2)


MODEL = net(keraunos)
BAD = [
    (lambda: LogitsDistillation(0), "number above 0 for `temperature`, got 0"),
    (lambda: LogitsDistillation(loss=[None]), "at least one loss that is not None"),
    (lambda: LogitsDistillation().compute_loss([A, A], [B]), "got 1 in .* and 2 in"),
    (lambda: Distiller(3, MODEL, LogitsDistillation()), "a model for `teacher`, got 3"),
    (lambda: Distiller(MODEL, MODEL, "mse"), "needs distillation losses, .* got 'mse'"),
    (lambda: Distiller(MODEL, MODEL, LogitsDistillation(), [1, 2]), r"weights \(2\) must match"),
    (
        lambda: Distiller(MODEL, MODEL, LogitsDistillation(), student_loss_weight=2),
        "number from 0 to 1 for `student_loss_weight`, got 2",
    ),
    (
        lambda: Distiller(MODEL, net(keraunos, outputs=2), LogitsDistillation()),
        r"output shapes are incompatible. Teacher: \(None, 3\), Student: \(None, 2\)",
    ),
    (
        lambda: Distiller(MODEL, MODEL, FeatureDistillation("mse", "hidden", "hiden")),
        "In student model: No layer is called 'hiden'",
    ),
    (
        lambda: Distiller(MODEL, MODEL, LogitsDistillation()).compile("sgd"),
        "Distiller needs a `loss` for the student",
    ),
]


@pytest.mark.parametrize("make, message", BAD)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
