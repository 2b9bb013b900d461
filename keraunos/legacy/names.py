"""Where things were in Keras 1 and 2 and in TensorFlow's Keras, and what they are now.

Three tables and nothing else; `legacy.modules` reads them. Paths are relative to `keras`; "" is
`keras` itself.
"""

# Modules that are gone: the packages of today that hold what was in them, searched in order.
_MOVED = {
    "layers": """
        layers.advanced_activations layers.activation layers.attention layers.attention.attention
        layers.convolutional layers.convolutional.conv2d layers.convolutional_recurrent
        layers.core layers.core.dense layers.core.embedding layers.cudnn_recurrent
        layers.dense_attention layers.embeddings layers.experimental
        layers.experimental.preprocessing layers.local layers.locally_connected layers.merge
        layers.merging layers.noise layers.normalization layers.normalization.batch_normalization
        layers.normalization.layer_normalization layers.normalization_v2 layers.pooling
        layers.preprocessing layers.preprocessing.image_preprocessing
        layers.preprocessing.text_vectorization layers.recurrent layers.recurrent_v2
        layers.regularization layers.reshaping layers.rnn layers.rnn.gru layers.rnn.lstm
        layers.serialization layers.wrappers""",
    "layers models core.graph utils saving": """
        engine engine.base_layer engine.base_layer_utils engine.base_layer_v1 engine.functional
        engine.input_layer engine.input_spec engine.keras_tensor engine.network engine.node
        engine.saving engine.sequential engine.topology engine.training engine.training_arrays
        engine.training_generator engine.training_utils engine.training_v1 legacy.layers
        legacy.models""",
    "utils saving random layers": """
        utils.all_utils utils.control_flow_util utils.conv_utils utils.data_utils
        utils.dataset_utils utils.generic_utils utils.image_dataset utils.image_utils
        utils.io_utils utils.layer_utils utils.losses_utils utils.metrics_utils utils.mode_keys
        utils.model_visualization utils.multi_gpu_utils utils.object_identity
        utils.test_utils utils.text_dataset utils.tf_utils utils.timeseries_dataset
        utils.training_utils utils.vis_utils utils.visualize_util""",
    "optimizers optimizers.schedules": """
        optimizer_v1 optimizer_v2 optimizer_v2.adadelta optimizer_v2.adagrad optimizer_v2.adam
        optimizer_v2.adamax optimizer_v2.ftrl optimizer_v2.gradient_descent
        optimizer_v2.learning_rate_schedule optimizer_v2.nadam optimizer_v2.optimizer_v2
        optimizer_v2.rmsprop optimizers.adadelta optimizers.adafactor optimizers.adagrad
        optimizers.adam optimizers.adamax optimizers.adamw optimizers.experimental
        optimizers.ftrl optimizers.legacy.adam optimizers.legacy.gradient_descent
        optimizers.legacy.rmsprop optimizers.lion optimizers.nadam optimizers.optimizer
        optimizers.optimizer_experimental optimizers.optimizer_v1 optimizers.optimizer_v2
        optimizers.optimizer_v2.adam optimizers.optimizer_v2.gradient_descent
        optimizers.optimizer_v2.learning_rate_schedule optimizers.rmsprop
        optimizers.schedules.learning_rate_schedule optimizers.sgd""",
    "mixed_precision dtype_policies optimizers": """
        mixed_precision.experimental mixed_precision.loss_scale_optimizer
        mixed_precision.policy""",
    "saving models": """
        saving.hdf5_format saving.legacy saving.legacy.hdf5_format saving.legacy.save
        saving.model_config saving.object_registration saving.save saving.saved_model
        saving.saved_model_experimental saving.saving_api saving.saving_lib
        saving.serialization_lib""",
    "callbacks": "callbacks.callbacks callbacks.tensorboard_v1 callbacks_v1",
    "callbacks optimizers optimizers.schedules layers": "experimental",
    "legacy.initializations initializers": "initializations",
    "legacy.utils utils": "utils.np_utils",
    "legacy.sklearn": "wrappers.scikit_learn",
    "initializers": """
        initializers.initializers initializers.initializers_v1
        initializers.initializers_v2""",
    "losses": "objectives losses.losses",
    "metrics": """
        metrics.accuracy_metrics metrics.base_metric metrics.confusion_metrics metrics.metrics
        metrics.regression_metrics""",
    "models": "models.cloning models.sharpness_aware_minimization",
    "backend": """
        backend.common backend.cntk_backend backend.load_backend backend.tensorflow_backend
        backend.theano_backend backend_config""",
    "applications.mobilenet_v2": "applications.mobilenetv2",
    "applications.mobilenet_v3": "applications.mobilenetv3",
    "applications.resnet_v2": "applications.resnetv2",
    "applications": "applications.resnet_common applications.resnext",
}
MODULES: dict[str, tuple[str, ...]] = {
    module: tuple("" if home == "keras" else home for home in homes.split())
    for homes, modules in _MOVED.items()
    for module in modules.split()
}

# Packages of today, and the module of the legacy room that holds what was in them.
ROOMS = {
    "backend": "backend",
    "layers": "layers",
    "models": "utils",
    "preprocessing.image": "image",
    "preprocessing.sequence": "sequence",
    "preprocessing.text": "text",
    "regularizers": "initializations",
    "utils": "utils",
}

_SHORT = {
    "bce": "binary_crossentropy",
    "cosine": "cosine_similarity",
    "cosine_proximity": "cosine_similarity",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}


def _short(package: str) -> dict[str, str]:
    """The short names of losses in `package`, also in capitals."""
    pairs = {**_SHORT, **{name.upper(): now for name, now in _SHORT.items() if len(name) < 5}}
    home = lambda now: "losses" if now == "cosine_similarity" else package
    return {name: f"{home(now)}.{now}" for name, now in pairs.items()}


# Names that changed: package, then the name of the past, then today's path.
NAMES: dict[str, dict[str, str]] = {
    "": {
        "objectives": "losses",
    },
    "layers": {
        "AbstractRNNCell": "layers.Layer",
        "AtrousConvolution1D": "layers.Conv1D",
        "AtrousConv1D": "layers.Conv1D",
        "AtrousConv2D": "layers.Conv2D",
        "ConvLSTM2DCell": "layers.ConvLSTM2D",
        "CuDNNGRU": "layers.GRU",
        "CuDNNLSTM": "layers.LSTM",
        "Deconv2D": "layers.Conv2DTranspose",
        "Deconv3D": "layers.Conv3DTranspose",
        "Recurrent": "layers.RNN",
        "SyncBatchNormalization": "layers.BatchNormalization",
        "TimeDistributedDense": "layers.Dense",
        "_Merge": "layers.Add",
    },
    "models": {
        "Container": "models.Model",
        "Functional": "models.Model",
        "Input": "layers.Input",
        "InputLayer": "layers.InputLayer",
        "Network": "models.Model",
        "load_weights": "saving.load_weights",
        "model_from_config": "layers.deserialize",
    },
    "optimizers": {
        "gradient_descent_v2": "optimizers",
        "adam_v2": "optimizers",
    },
    "initializers": {
        "normal": "initializers.RandomNormal",
        "uniform": "initializers.RandomUniform",
    },
    "regularizers": {
        "WeightRegularizer": "regularizers.L1L2",
        "l1l2": "regularizers.L1L2",
    },
    "losses": {"Reduction": "legacy.classes.Reduction", **_short("losses")},
    "metrics": _short("metrics"),
    "constraints": {
        "maxnorm": "constraints.MaxNorm",
        "nonneg": "constraints.NonNeg",
        "unitnorm": "constraints.UnitNorm",
    },
    "mixed_precision": {
        "set_policy": "mixed_precision.set_dtype_policy",
        "set_global_policy": "mixed_precision.set_dtype_policy",
        "global_policy": "mixed_precision.dtype_policy",
    },
    "utils": {
        "CustomObjectScope": "saving.CustomObjectScope",
        "custom_object_scope": "saving.custom_object_scope",
        "deserialize_keras_object": "saving.deserialize_keras_object",
        "get_custom_objects": "saving.get_custom_objects",
        "get_registered_name": "saving.get_registered_name",
        "get_registered_object": "saving.get_registered_object",
        "Sequence": "utils.PyDataset",
        "plot": "utils.plot_model",
        "register_keras_serializable": "saving.register_keras_serializable",
        "serialize_keras_object": "saving.serialize_keras_object",
    },
}

# Things without a successor of the same kind, and what to do instead.
GONE: dict[str, str] = {
    "estimator": "Train with `model.fit`.",
    "feature_column": "Use `keras.utils.FeatureSpace`.",
    "layers.DenseFeatures": "Use `keras.utils.FeatureSpace`.",
    "layers.RandomHeight": "Use `keras.layers.RandomZoom`.",
    "layers.RandomWidth": "Use `keras.layers.RandomZoom`.",
    "models.Graph": "Use `keras.Model(inputs, outputs)`.",
    "models.slice_X": "Slice the arrays themselves.",
    "optimizers.TFOptimizer": "Use one of `keras.optimizers`.",
    "wrappers.KerasClassifier": "Use `keras.wrappers.SKLearnClassifier(model=...)`.",
    "wrappers.KerasRegressor": "Use `keras.wrappers.SKLearnRegressor(model=...)`.",
    "utils.keras_test": "Use pytest.",
}

# What TensorFlow's own functions are here; for most, the name in `keras.ops` is the same.
TENSORFLOW: dict[str, str] = {
    "GradientTape": "`jax.value_and_grad` of a function that uses `model.stateless_call`",
    "Module": "`keras.layers.Layer`",
    "Tensor": "`jax.Array`, or `keras.KerasTensor` for a symbolic one",
    "TensorShape": "a tuple",
    "Variable": "`keras.Variable`",
    "argsort": "`keras.ops.argsort`",
    "clip_by_value": "`keras.ops.clip`",
    "concat": "`keras.ops.concatenate`",
    "config": "`jax.devices()` to look at devices, `keras.distribution` to use several",
    "constant": "`keras.ops.convert_to_tensor`",
    "convert_to_tensor": "`keras.ops.convert_to_tensor`",
    "data": "`keraunos.data.Dataset`, or arrays and generators, all of which `fit` takes",
    "distribute": "`keras.distribution`",
    "fill": "`keras.ops.full`",
    "gather": "`keras.ops.take`",
    "gradients": "`jax.grad`",
    "image": "`keras.ops.image`",
    "io": "Python's own file functions, and `keras.utils`",
    "lite": "`model.export`",
    "math.confusion_matrix": "`sklearn.metrics.confusion_matrix`, or `keras.metrics`",
    "math.reduce_all": "`keras.ops.all`",
    "math.reduce_any": "`keras.ops.any`",
    "one_hot": "`keras.ops.one_hot`",
    "pow": "`keras.ops.power`",
    "random.normal": "`keras.random.normal`",
    "random.uniform": "`keras.random.uniform`",
    "range": "`keras.ops.arange`",
    "saved_model": "`model.export`",
    "summary": "`keras.callbacks.TensorBoard`",
    "train": "`model.save_weights`, or `keras.callbacks.ModelCheckpoint`",
    "where": "`keras.ops.where`",
}
