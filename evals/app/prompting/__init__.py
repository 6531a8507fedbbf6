"""Run a model on a task with several prompts: how much does the wording change the result?

    run(models, tasks, prompts, choices) -> [PromptedRun]

`templates` reads the templates that the user chose and checks them; `run` makes a run folder for each of them, and the
summary. It may import every other package. Start with `run`.
"""

from __future__ import annotations

from evals.app.prompting.run import PromptedRun, run

__all__ = ["PromptedRun", "run"]
