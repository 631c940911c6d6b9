"""The published formulas, number by number: Gatys, Ecker and Bethge (2015), and the course exercise made of them.

The exercise (deeplearning.ai, "Art generation with neural style transfer") divides the content cost by 4HWC and a
style layer's by 4C²(HW)², with Gram matrices that are sums over positions, and takes α = 10, β = 40, λ = 0.2.
"""

import numpy as np
import pytest
import tensorflow as tf
import toy

from nst import Settings, StyleTransfer, images
from nst.losses import content_loss, gram_matrix, style_loss

# Four positions, two filters.
PICTURE = np.array([[1, 0], [1, 2], [3, 0], [3, 2]], np.float32)
ORIGINAL = np.array([[0, 0], [1, 1], [1, 0], [3, 4]], np.float32)
HWC, HW, C = 8, 4, 2

# Their differences are 1, 0, 0, 1, 2, 0, 0 and −2, the squares add up to 1 + 1 + 4 + 4.
SQUARES = 10
# FᵀF is [[20, 8], [8, 8]] of the one and [[11, 13], [13, 17]] of the other: 9² + 5² + 5² + 9².
GRAM_SQUARES = 212
COURSE_CONTENT, COURSE_STYLE_LAYER = SQUARES / (4 * HWC), GRAM_SQUARES / (4 * C**2 * HW**2)


def layer(rows: np.ndarray) -> tf.Tensor:
    return tf.constant(rows.reshape(1, 2, 2, 2))


def ours(picture: np.ndarray, original: np.ndarray) -> float:
    """Our style loss of a layer as the paper has it."""
    return float(style_loss((gram_matrix(layer(picture)),), (gram_matrix(layer(original)),), "paper"))


def test_our_gram_matrix_is_the_courses_divided_by_the_positions():
    np.testing.assert_allclose(gram_matrix(layer(PICTURE))[0] * HW, [[20, 8], [8, 8]])
    np.testing.assert_allclose(gram_matrix(layer(ORIGINAL))[0] * HW, [[11, 13], [13, 17]])


def test_content_cost_of_the_course():
    assert COURSE_CONTENT == 0.3125
    cost = content_loss(layer(PICTURE), layer(ORIGINAL))
    assert float(cost) / (2 * HWC) == pytest.approx(COURSE_CONTENT)


def test_style_layer_cost_of_the_course():
    assert COURSE_STYLE_LAYER == 0.828125
    assert ours(PICTURE, ORIGINAL) == pytest.approx(COURSE_STYLE_LAYER)


def test_total_cost_of_the_course():
    # Five layers; activations twice as large in the last make its cost 2⁴ times as large: 0.2 · (4 + 16) · 0.828125.
    scales = (1, 1, 1, 1, 2)
    style = sum(0.2 * ours(scale * PICTURE, scale * ORIGINAL) for scale in scales)
    assert style == pytest.approx(3.3125)
    content = float(content_loss(layer(PICTURE), layer(ORIGINAL))) / (2 * HWC)
    assert 10 * content + 40 * style == pytest.approx(135.625)  # 10 · 0.3125 + 40 · 3.3125


def test_equations_1_and_2_of_the_paper():
    features = layer(PICTURE)
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = content_loss(features, layer(ORIGINAL))
    assert float(loss) == SQUARES / 2
    np.testing.assert_allclose(tape.gradient(loss, features), layer(PICTURE - ORIGINAL))


def test_equations_4_and_6_of_the_paper():
    features = layer(PICTURE)
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = style_loss((gram_matrix(features),), (gram_matrix(layer(ORIGINAL)),), "paper")
    assert float(loss) == pytest.approx(GRAM_SQUARES / (4 * C**2 * HW**2))
    difference = np.array([[9, -5], [-5, -9]])  # of the Gram matrices, not divided
    np.testing.assert_allclose(tape.gradient(loss, features), layer(PICTURE @ difference / (C**2 * HW**2)), rtol=1e-6)


def test_equations_1_4_5_and_7_in_a_run():
    content, style = toy.picture(64, 48), toy.picture(64, 64, seed=1)
    alpha, beta, shares = 1e-3, 5.0, {"block1_conv1": 0.25, "block1_conv2": 0.75}
    settings = Settings(
        **{"size": 64, "min_scale": 64, "steps": (1,), "padding": 0, "init": "style"},
        **{"content_layers": {"block1_conv2": 1.0}, "style_layers": shares},
        **{"style_statistics": "gram", "normalization": "paper"},
        **{"content_weight": alpha, "style_weight": beta, "total_variation_weight": 0.0},
    )
    network = toy.network()
    frame = next(StyleTransfer(network).stylize(content, [style], settings))

    def activations(picture: np.ndarray) -> dict[str, np.ndarray]:
        """F of each layer, (HW, C)."""
        return {
            name: features.numpy().astype(np.float64).reshape(-1, features.shape[-1])
            for name, features in network(tf.constant(picture), set(shares)).items()
        }

    def layer_loss(picture: np.ndarray, painting: np.ndarray) -> float:
        """Equation 4, with M of each picture its own: there the two are of the same size."""
        gram, target = (rows.T @ rows / len(rows) for rows in (picture, painting))
        return np.sum((gram - target) ** 2) / (4 * picture.shape[1] ** 2)

    image = images.resize(style, 64, 48)
    at_image, at_content, at_style = activations(image), activations(content), activations(style)
    content_cost = np.sum((at_image["block1_conv2"] - at_content["block1_conv2"]) ** 2) / 2  # equation 1
    style_cost = sum(share * layer_loss(at_image[name], at_style[name]) for name, share in shares.items())  # 5
    assert content_cost > 1 and style_cost > 0
    assert frame.losses["content"] == pytest.approx(content_cost, rel=1e-4)
    assert frame.losses["style"] == pytest.approx(style_cost, rel=1e-3)
    assert frame.losses["total"] == pytest.approx(alpha * content_cost + beta * style_cost, rel=1e-3)  # 7
