"""Execute randomly chosen samples of a finished run again, and compare them with what the run recorded.

    verify(folder, settings) -> VerifiedEntry

`choice` draws the samples; `protocol` makes the configuration of the run from its manifest and refuses what has
changed; `recorded_prompts` does the same for logs of other harnesses, from their prompts; `comparing` compares two
executions of a sample; `verify` puts them together. It may import every other package. Start with `verify`.
"""

from __future__ import annotations

from evals.app.verification.protocol import VerificationSettings
from evals.app.verification.verify import verify

__all__ = ["VerificationSettings", "verify"]
