"""The models: variants as rows of a table, one file a family.

variants.yaml        the registered models, a row each; read by `variants`
vision_language      DeepSeek-VL, DeepSeek-VL-hybrid and every other image-text-to-text checkpoint
replay               recorded outputs instead of a model
torch_backend        device, dtype, shared prefixes, decoding, out-of-memory splitting: what the families share
replicas/            recipes and bundled checkpoints
"""
