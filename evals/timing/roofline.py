"""Roofline model: lower bounds (floors) of the time that a model needs to generate text on a device.

A decoder reads all of its weights for each new token, and does one multiplication and one addition per weight and
token. Divided by the measured peaks of the device, this gives the minimum time per token. A measured time below it is
an error of measurement.

    bandwidth floor     bytes of weights to read / bytes per second
    arithmetic floor    2 x weights used per token / operations per second

The floors hold for every implementation, since they leave out the key-value cache, images, activations, the input
embedding (a token needs one row) and the experts that a single token does not use. They assume one request at a time
and no speculative decoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evals.schema import ResourceRequirements

FIRST, STEP, WHOLE = "time-to-first-token", "per-token", "latency"
BANDWIDTH, ARITHMETIC = "bandwidth", "arithmetic"


@dataclass(frozen=True, slots=True)
class DevicePeaks:
    """The highest speeds that were measured on a device."""

    bytes_per_second: float
    """Reading speed, from buffers as large as the weights (if the weights fit into a cache, so do the buffers)."""
    operations_per_second: float
    """Multiplications and additions in products of large matrices, in the model's dtype."""

    def or_better(self, other: DevicePeaks) -> DevicePeaks:
        """Return the higher speed of each kind; a busy device measures too slow."""
        return DevicePeaks(
            max(self.bytes_per_second, other.bytes_per_second),
            max(self.operations_per_second, other.operations_per_second),
        )


Floors = Mapping[str, Mapping[str, float]]
"""Minimum seconds by measured value (`latency`) and kind of floor (`bandwidth`)."""


def floors(requirements: ResourceRequirements, peaks: DevicePeaks, prompt_tokens: int, new_tokens: int) -> Floors:
    """Compute the minimum seconds for the first token, for each later token, and for the whole text.

    Args:
        requirements: the resources that the model needs.
        peaks: the measured peaks of the device.
        prompt_tokens: the length of the prompt.
        new_tokens: the length of the generated text, at least 1.

    Example:
        >>> ten = ResourceRequirements("cpu", "float32", 40, 40, 40, 40, 10, 0, 10, 0, 0)  # ten weights of four bytes
        >>> least = floors(ten, DevicePeaks(bytes_per_second=80, operations_per_second=10), 5, 3)
        >>> least["per-token"], least["latency"]["bandwidth"], least["latency"]["arithmetic"]
        ({'bandwidth': 0.5, 'arithmetic': 2.0}, 1.5, 14.0)
    """
    step = _times(requirements.step_bytes, requirements.step_parameters, peaks)
    first = _times(
        requirements.first_bytes, requirements.prompt_parameters * prompt_tokens + requirements.first_parameters, peaks
    )  # fmt: skip
    return {
        FIRST: first,
        **({STEP: step} if new_tokens > 1 else {}),
        WHOLE: {kind: first[kind] + (new_tokens - 1) * step[kind] for kind in first},
    }


def below(seconds: float, least: Mapping[str, float]) -> str | None:
    """Describe the highest floor if a time lies below it; None if the time is possible.

    Example:
        >>> below(0.3, {"bandwidth": 0.4, "arithmetic": 0.1})
        '0.3 s, less than the 0.4 s of its bandwidth floor: the clock or the probe of the device is wrong'
    """
    kind = max(least, key=lambda name: least[name], default=None)
    if kind is None or seconds >= least[kind]:
        return None
    limit = f"the {least[kind]:.3g} s of its {kind} floor"
    return f"{seconds:.3g} s, less than {limit}: the clock or the probe of the device is wrong"


def _times(read_bytes: float, parameters: float, peaks: DevicePeaks) -> dict[str, float]:
    return {
        BANDWIDTH: read_bytes / peaks.bytes_per_second,
        ARITHMETIC: 2 * parameters / peaks.operations_per_second,
    }  # fmt: skip
