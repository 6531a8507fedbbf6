"""Quantise a checkpoint: 8-bit integer weights in the format of compressed-tensors, which public loaders read.

It may import the schema, the data and `evals.models.backend`. Start with `checkpoint`, which makes the new folder.

    layers       which of a model's weights are those of linear layers
    rounding     weights to integers and scales, and integers packed into 32 bits
    tensor_file  write a safetensors file tensor by tensor
    checkpoint   the folder: weights, configuration, and what is copied
"""
