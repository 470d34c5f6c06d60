"""Bytes of a model's weights in a checkpoint for GPUs, tensor by tensor."""

import math

from quantcore.memory.deployed_formats import DEPLOYED, DeployedFormat
from quantcore.memory.weights import StoredWeights, TensorBytes
from quantcore.shape.model_shape import ModelShape, is_expert, is_weight

KEPT = "BF16"  # or F16, as the model came; both take two bytes


def deployed_weights(shape: ModelShape, name: str) -> StoredWeights:
    """Bytes of every tensor of a checkpoint in one of these formats.

    Raises
    ------
    ValueError
        If there is no such format, or the model has no tensor that it could be put on.
    """
    fmt = DEPLOYED.get(name.upper())
    if fmt is None:
        raise ValueError(f"No deployed format {name!r}; there are {', '.join(DEPLOYED)}")
    tensors = tuple(
        deployed_tensor(shape, tensor, fmt) for tensor in shape.tensors if is_weight(tensor)
    )
    if all(tensor.format == KEPT for tensor in tensors):
        raise ValueError(
            f"{fmt.title}: {shape.name} has no experts to store so; choose NVFP4, or "
            "MXFP4 pure for every matrix of a GGUF file"
        )
    return StoredWeights(tensors=tensors, estimated=shape.estimated)


def deployed_tensor(shape: ModelShape, name: str, fmt: DeployedFormat) -> TensorBytes:
    """Say what becomes of one tensor."""
    size = shape.tensors[name]
    if not fmt.covers_tensor(name, size):
        stored, what = 2 * math.prod(size), KEPT
    else:
        n_matrices, n_rows, n_cols = _as_linear(name, size)
        stored, what = n_matrices * fmt.matrix_bytes(n_rows, n_cols), fmt.name
    return TensorBytes(name=name, shape=size, format=what, wanted=None, bytes=stored)


def _as_linear(name: str, size: tuple[int, ...]) -> tuple[int, int, int]:
    """Matrices, outputs and inputs of a linear layer; GGUF's halves of kv_b are stacks of heads."""
    if is_expert(name):
        return size[0], size[1], math.prod(size[2:])
    if ".attn_k_b." in name:  # turned round by the converter
        return 1, size[0] * size[2], size[1]
    return 1, math.prod(size[:-1]), size[-1]
