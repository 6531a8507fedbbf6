"""What no measurement can beat: the time that reading a model's weights and multiplying with them takes at least.

A decoder reads all of its weights for each new token, and multiplies and adds once a weight and token. Divided by what
the device was seen to do at best, that is the least time of a token: a time below it is a mistake of the clock, not a
quick model.

    bandwidth floor     bytes of weights that must be read / bytes a second
    arithmetic floor    2 x weights that a token meets / operations a second

Left out, so that the floors hold for every implementation: the cache, pictures, activations, the input embedding (of
which a token needs one row) and experts beyond those that one token uses. One request at a time, no speculation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.schema import ResourceRequirements

FIRST, STEP, WHOLE = "time-to-first-token", "per-token", "latency"
BANDWIDTH, ARITHMETIC = "bandwidth", "arithmetic"


@dataclass(frozen=True, slots=True)
class DevicePeaks:
    """The best that a device was seen to do."""

    bytes_per_second: float
    """Reading, from buffers as large as the weights: where these fit into a cache, those do."""
    operations_per_second: float
    """Multiplications and additions of large matrices, in the model's number format."""

    def or_better(self, other: DevicePeaks) -> DevicePeaks:
        """The better of each of two, as a device that was busy once is quicker another time."""
        return DevicePeaks(
            max(self.bytes_per_second, other.bytes_per_second),
            max(self.operations_per_second, other.operations_per_second),
        )


Floors = Mapping[str, Mapping[str, float]]
"""Seconds by measured figure (`latency`) and kind of floor (`bandwidth`)."""


def floors(requirements: ResourceRequirements, speeds: DevicePeaks, prompt_tokens: int, new_tokens: int) -> Floors:
    """Give the least seconds of a text's first token, of each token after it, and of the whole.

    Args:
        requirements: what the model needs.
        speeds: what the device can do.
        prompt_tokens: the prompt's length.
        new_tokens: the text's length, at least 1.

    Example:
        >>> ten = ResourceRequirements("cpu", "float32", 40, 40, 40, 40, 10, 0, 10, 0, 0)  # ten weights of four bytes
        >>> found = floors(ten, DevicePeaks(bytes_per_second=80, operations_per_second=10), 5, 3)
        >>> found["per-token"], found["latency"]["bandwidth"], found["latency"]["arithmetic"]
        ({'bandwidth': 0.5, 'arithmetic': 2.0}, 1.5, 14.0)
    """
    step = _times(requirements.step_bytes, requirements.step_parameters, speeds)
    first = _times(
        requirements.first_bytes, requirements.prompt_parameters * prompt_tokens + requirements.first_parameters, speeds
    )  # fmt: skip
    return {
        FIRST: first,
        **({STEP: step} if new_tokens > 1 else {}),
        WHOLE: {kind: first[kind] + (new_tokens - 1) * step[kind] for kind in first},
    }


def below(seconds: float, least: Mapping[str, float]) -> str | None:
    """Say which floor a time lies below, and by how much; None where it lies on or above all.

    Example:
        >>> below(0.3, {"bandwidth": 0.4, "arithmetic": 0.1})
        '0.3 s, less than the 0.4 s of its bandwidth floor: the clock or the probe of the device is wrong'
    """
    kind = max(least, key=lambda name: least[name], default=None)
    if kind is None or seconds >= least[kind]:
        return None
    limit = f"the {least[kind]:.3g} s of its {kind} floor"
    return f"{seconds:.3g} s, less than {limit}: the clock or the probe of the device is wrong"


def _times(read: float, parameters: float, speeds: DevicePeaks) -> dict[str, float]:
    return {
        BANDWIDTH: read / speeds.bytes_per_second,
        ARITHMETIC: 2 * parameters / speeds.operations_per_second,
    }  # fmt: skip
