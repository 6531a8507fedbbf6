"""Engines that compute a family's models in place of the suite's own decoding: vLLM.

A family decides what is asked: it tokenises, plans, reads answers. An engine computes: it has the methods of
`evals.models.decoding.engine.Decoder`. It may import the schema, the registry, the data, decoding and the backend.
Start with `choice`, which decides between the engines; `vllm_model` starts vLLM, `vllm_decoder` asks it, and
`vllm_queue` lets several batches share it.
"""
