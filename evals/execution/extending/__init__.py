"""Continue the outputs of a finished run that were cut at the token limit (`run --extend N`).

It may import what `evals.execution` imports. Start with `extension`; `server_extension` has the rules for servers.
"""
