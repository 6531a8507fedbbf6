"""Write the verdicts as schema.org `ClaimReview` in JSON-LD, for search engines and databases of fact checks.

https://schema.org/ClaimReview: what was claimed and where it appears, the verdict with its reason, and the evidence. A
verdict of too little evidence has no number in `reviewRating`: only its word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from evals.reports.claims.output.anchors import Anchors, key_of
from evals.reports.claims.output.reasons import reason
from evals.reports.claims.output.tables import in_words
from evals.reports.claims.verdicts import Assessment, CheckResult
from evals.reports.rendering.formatting import visible
from evals.schema import Json

_RATINGS = {"refuted": 1, "supported": 5}
"""The number of a plain verdict on the scale from 1, false, to 5, true."""


def claim_reviews(checked: CheckResult) -> str:
    """Return a JSON-LD document with one `ClaimReview` per claim; equal results give equal text.

    Args:
        checked: the result of a check.
    """
    anchors = Anchors(checked)
    graph = [_review(checked, assessment, anchors) for assessment in checked.assessments]
    content = {"@context": "https://schema.org", "@graph": graph}
    return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _review(checked: CheckResult, assessment: Assessment, anchors: Anchors) -> dict[str, Json]:
    claim, info = assessment.claim, assessment.document.document
    address = info.source if info.source and "://" in info.source else None
    appearance: dict[str, Json] = {"@type": "CreativeWork", "name": visible(info.title)}
    appearance |= {"url": visible(address)} if address else {}
    appearance |= {"datePublished": info.date.isoformat()} if info.date else {}
    appearance |= {"inLanguage": visible(info.language)} if info.language else {}
    words = dict.fromkeys(map(in_words, (assessment.plain, assessment.headline)))
    rating: dict[str, Json] = {"@type": "Rating", "alternateName": ": ".join(words)}
    if assessment.plain in _RATINGS:
        rating |= {"ratingValue": _RATINGS[assessment.plain], "worstRating": 1, "bestRating": 5}
    evidence: list[Json] = [*_evidence(checked, assessment)]
    return {
        "@type": "ClaimReview",
        "@id": f"claims.html#{anchors.of(key_of(assessment))}",
        "url": f"claims.html#{anchors.of(key_of(assessment))}",
        "claimReviewed": visible(claim.says),
        "itemReviewed": {
            "@type": "Claim",
            "appearance": appearance,
            **({"text": visible(claim.quote)} if claim.quote else {}),
        },
        "reviewRating": rating,
        "reviewBody": reason(assessment),
        "author": {"@type": "Organization", "name": "claim-evals"},
        **({"citation": evidence} if evidence else {}),
    }


def _evidence(checked: CheckResult, assessment: Assessment) -> Iterator[Json]:
    """Yield the runs that a claim was measured with, each with its Every Eval Ever log beside the report."""
    for required in assessment.required if assessment.measured else ():
        outcome = checked.outcomes.get(required)
        if outcome is not None and outcome.record is not None:
            signature = outcome.record.manifest.signature
            yield {
                "@type": "Dataset",
                "name": visible(f"{required.model} on {required.task}"),
                "identifier": signature,
                "url": log_path(signature),
            }


def log_path(signature: str) -> str:
    """Return the path of the Every Eval Ever log of a run, from the folder of the report."""
    return f"evidence/{signature}.json"


def logs_of_earlier_checks(folder: Path) -> list[Path]:
    """Return the logs of runs that a check wrote to a folder: those that no claim of a new check cites are outdated."""
    return [path for path in (folder / "evidence").glob("*.json") if re.fullmatch(r"[0-9a-f]{12}", path.stem)]
