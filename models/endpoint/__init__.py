"""A model behind a server of OpenAI's kind: what is asked, what comes back, how fast and at what price.

May import the schema and the data. Start with `family`.
"""
