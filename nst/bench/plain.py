"""Style transfer as the Keras and TensorFlow tutorials write it: the baseline of `bench`.

The same network and weights as ours, without what we do for speed or quality: zero padding and max pooling as in
`keras.applications.VGG19`, Gram matrices, the paper's losses, one scale.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nst.weights import Weights, layers_up_to

LayerWeights = Mapping[str, float]  # layer -> its weight in the loss
LEARNING_RATE, BETAS = 0.02, (0.9, 0.99)  # the rate of TensorFlow's tutorial, our β


def keras_model(weights: Weights, wanted: LayerWeights) -> keras.Model:
    """Normalized picture -> {layer: activations}: op for op `keras.applications.VGG19`, plus the heads of `weights`."""
    x = picture = keras.Input((None, None, 3))
    outputs, values = {}, {}

    def convolved(x: Any, kernel: np.ndarray, name: str, **options: Any) -> Any:
        return keras.layers.Conv2D(kernel.shape[-1], kernel.shape[0], padding="same", name=name, **options)(x)

    def convolution(x: Any, name: str) -> Any:
        *first, last = weights.kernels(name)
        for number, kernel in enumerate(first):
            values[f"{name}_{number}"] = [kernel]
            x = convolved(x, kernel, f"{name}_{number}", use_bias=False)
        values[name] = [last, weights.parameters[f"{name}_bias"]]
        return convolved(x, last, name, activation="relu")

    for layer in layers_up_to(weights.parameters, wanted):
        if layer.endswith("conv1") and layer != "block1_conv1":
            x = keras.layers.MaxPooling2D()(x)
        x = convolution(x, layer)
        if layer in wanted:
            outputs[layer] = convolution(x, f"{layer}_head") if f"{layer}_head_kernel" in weights.parameters else x
    model = keras.Model(picture, outputs)
    for name, arrays in values.items():
        model.get_layer(name).set_weights(arrays)
    model.trainable = False
    return model


class KerasPlain:
    """The tutorials' loop: a Keras model, a gradient tape and Keras' Adam on a variable, in one `tf.function`."""

    def __init__(
        self,
        weights: Weights,
        content: np.ndarray,
        style: np.ndarray,
        content_layers: LayerWeights,
        style_layers: LayerWeights,
        loss_weights: tuple[float, float, float],
    ):
        """Start from the content.  Pictures are float32 (1, H, W, 3) RGB in [0, 1]; the loss weights are α, β, γ."""
        self.model = keras_model(weights, {**content_layers, **style_layers})
        self.mean, self.scale = weights.mean, weights.scale
        self.content_layers, self.style_layers, self.loss_weights = content_layers, style_layers, loss_weights
        photo, painting = self.features(tf.constant(content)), self.features(tf.constant(style))
        self.content_targets = {layer: photo[layer] for layer in content_layers}
        self.style_targets = {layer: self.gram_matrix(painting[layer]) for layer in style_layers}
        self.image = tf.Variable(tf.constant(content))
        self.optimizer = keras.optimizers.Adam(LEARNING_RATE, *BETAS)
        self.optimizer.build([self.image])

    def features(self, image: Any) -> dict[str, tf.Tensor]:
        return self.model((image - self.mean) * self.scale)

    @staticmethod
    def gram_matrix(features: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(features)
        return tf.einsum("bijc,bijd->bcd", features, features) / tf.cast(shape[1] * shape[2], tf.float32)

    def losses(self, image: Any) -> dict[str, tf.Tensor]:
        """The terms of J = α J_content + β J_style + γ J_tv, and J, as float32 scalars."""
        features = self.features(image)
        content = tf.add_n(
            [
                weight * tf.reduce_sum(tf.square(features[layer] - self.content_targets[layer])) / 2
                for layer, weight in self.content_layers.items()
            ]
        )
        style = tf.add_n(
            [
                weight * self.layer_loss(self.gram_matrix(features[layer]), self.style_targets[layer])
                for layer, weight in self.style_layers.items()
            ]
        )
        variation = tf.reduce_mean(tf.square(image[:, 1:] - image[:, :-1])) + tf.reduce_mean(
            tf.square(image[:, :, 1:] - image[:, :, :-1])
        )
        alpha, beta, gamma = self.loss_weights
        total = alpha * content + beta * style + gamma * variation
        return {"content": content, "style": style, "total_variation": variation, "total": total}

    @staticmethod
    def layer_loss(gram: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(gram - target)) / (4 * tf.cast(tf.shape(target)[-1], tf.float32) ** 2)

    @tf.function
    def step(self) -> dict[str, tf.Tensor]:
        """One step of Adam; returns the losses before it."""
        with tf.GradientTape() as tape:
            losses = self.losses(self.image)
        gradient = tape.gradient(losses["total"], self.image)
        self.optimizer.apply_gradients([(gradient, self.image)])
        self.image.assign(tf.clip_by_value(self.image, 0.0, 1.0))
        return losses
