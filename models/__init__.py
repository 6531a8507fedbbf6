"""The models: variants as rows of a table, one file a family.

variants.yaml        the registered models, a row each; read by `variants`
dual_encoder         CLIP and SigLIP: pictures and texts to vectors
two_streams          BLIP: pictures and questions to text, pictures and texts to vectors, texts to labels
mixture              a mixture of experts that reads text, pictures and recordings in one space
vision_language      DeepSeek-VL, DeepSeek-VL-hybrid and every other image-text-to-text checkpoint
causal               language models of every kind
classifier           sequence classifiers: a text or a pair to a class
encoder              text encoders: a text to a vector
endpoint             a model behind a server; `endpoint_*` what is said to it, `transport` and `pacing` how it is asked
replay               recorded outputs instead of a model
decoding             the loop over slots of a cache: shared prefixes, generation (`generating`), endings (`weighing`)
placeholders         what stands for pictures and recordings among tokens
last_state           embeddings by the last hidden state of a prompt
library_decoding     the library's own loop, for architectures whose caches cannot be cut
attention            where a vision-language model looked: heat maps
size                 parameters, layers, experts and bytes from a configuration; `configs.yaml` has the public ones
texts                whole texts as tokens, for the families that read them at once
torch_backend        device, dtype, token budget, out-of-memory splitting: what the families share
replicas/            recipes and bundled checkpoints
"""
