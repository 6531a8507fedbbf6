"""How requests become prompts: special tokens, chat templates, and the limit of a model's positions.

It may import the schema and decoding. Start with `text_prompts`; `chat_templates` renders in a limited process, whose
program is `template_worker`.
"""
