"""Style transfer as PyTorch's tutorial writes it, eager, with the losses of `plain`: `bench`'s other baseline."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # noqa: N812  # pyright: ignore[reportMissingImports]

from nst.weights import Weights, layers_up_to

LayerWeights = Mapping[str, float]  # layer -> its weight in the loss
LEARNING_RATE, BETAS = 0.02, (0.9, 0.99)  # the rate of TensorFlow's tutorial, our β


def make_step(
    weights: Weights,
    content: np.ndarray,
    style: np.ndarray,
    content_layers: LayerWeights,
    style_layers: LayerWeights,
    loss_weights: tuple[float, float, float],
    precision: str,
) -> Callable[[], float]:
    """Build a function that takes a step of Adam and returns the loss before it.  Arguments as for `plain.KerasPlain`.

    The image, the losses and Adam are in float32; the network and the Gram matrices are in `precision`.
    """
    dtype, device = getattr(torch, precision), "cuda" if torch.cuda.is_available() else "cpu"
    # The faster layout: on a CPU, channels_last takes 2/3 of the time in bfloat16 and 6/5 in float32.
    order = torch.channels_last if precision == "bfloat16" else torch.contiguous_format
    wanted = {**content_layers, **style_layers}
    names = [key.removesuffix("_bias") for key in weights.parameters if key.endswith("_bias")]
    kernels = {
        name: [
            torch.tensor(np.transpose(kernel, (3, 2, 0, 1)), dtype=dtype, device=device).to(memory_format=order)
            for kernel in weights.kernels(name)
        ]
        for name in names
    }
    biases = {name: torch.tensor(weights.parameters[f"{name}_bias"], dtype=dtype, device=device) for name in names}
    mean = torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)

    def convolution(x: Any, name: str) -> Any:
        *first, last = kernels[name]
        for kernel in first:
            x = F.conv2d(x, kernel, padding="same")
        return F.relu(F.conv2d(x, last, biases[name], padding="same"))

    def network(image: Any) -> dict[str, Any]:
        x = ((image - mean) * weights.scale).to(dtype)
        outputs = {}
        for layer in layers_up_to(weights.parameters, wanted):
            if layer.endswith("conv1") and layer != "block1_conv1":
                x = F.max_pool2d(x, 2)
            x = convolution(x, layer)
            if layer in wanted:
                outputs[layer] = convolution(x, f"{layer}_head") if f"{layer}_head" in kernels else x
        return outputs

    def gram_matrix(features: Any) -> Any:
        rows = features.flatten(2)
        return (rows @ rows.mT).float() / rows.shape[-1]

    def picture(array: np.ndarray) -> Any:
        return torch.tensor(np.transpose(array, (0, 3, 1, 2)), device=device).to(memory_format=order)

    with torch.no_grad():
        photo, painting = network(picture(content)), network(picture(style))
        grams = {layer: gram_matrix(painting[layer]) for layer in style_layers}
    image = picture(content).requires_grad_()
    optimizer = torch.optim.Adam([image], LEARNING_RATE, BETAS)
    alpha, beta, gamma = loss_weights

    def step() -> float:
        optimizer.zero_grad()
        features = network(image)
        content_loss = sum(
            weight * ((features[layer].float() - photo[layer].float()) ** 2).sum() / 2
            for layer, weight in content_layers.items()
        )
        style_loss = sum(
            weight * ((gram_matrix(features[layer]) - grams[layer]) ** 2).sum() / (4 * grams[layer].shape[-1] ** 2)
            for layer, weight in style_layers.items()
        )
        down, across = image[:, :, 1:] - image[:, :, :-1], image[:, :, :, 1:] - image[:, :, :, :-1]
        total: Any = alpha * content_loss + beta * style_loss + gamma * ((down**2).mean() + (across**2).mean())
        total.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(0, 1)
        return total.item()

    return step
