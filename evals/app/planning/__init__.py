"""Plan a comparison of two models before it is run: samples, minutes, tokens and money, and what a set can show.

    plan(settings) -> ComparisonPlan

`sets` reads how large a set is and how its samples cluster. `pilots` says how two models differ on a few of its
samples, from finished runs or from short ones that it makes. `plan` puts them together. It may import every other
package. Start with `plan`.
"""

from __future__ import annotations

from evals.app.planning.plan import plan
from evals.app.planning.settings import PlanSettings

__all__ = ["PlanSettings", "plan"]
