"""Render templates that strangers wrote (Jinja), in a process of its own with limits on time, memory and text.

It may import the errors and the schema. Start with `renderer`; `worker` is the process. `limited_process` is that part
of it which chat templates need too.
"""
