"""Select the samples of a run from those of a split, and blind them for a blind control.

limited(samples, options)        a random subset, or the first samples
chosen(samples, ids)             those with some ids
readable(samples, modalities)    those that a model can read
only(samples, indices)           those at some indices
blinded(samples)                 all, with their images and audio replaced
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence
from dataclasses import replace

from evals.errors import InputError
from evals.records.sequential.random_order import order_key
from evals.schema import MODALITIES, Audio, Classify, Image, Options, Part, Request, Sample, Samples


def limited(samples: Samples, options: Options) -> Samples:
    """Select the samples of a split that the options ask for: `options.limit` at random, or the first `options.first`.

    A sample's position in the random order is a hash of the seed and its id. So a larger limit contains a smaller one,
    every process chooses the same samples, and no sample's position depends on the others. The selected samples stay
    in the order of the benchmark. Single samples are chosen, not clusters: some questions about an image may be left
    out.

    Args:
        samples: the whole split.
        options: `limit`, `first` and `seed` are read.

    Returns:
        The samples; if some are left out, with the number of all samples as the fact `samples_in_split`.

    Raises:
        InputError: the split has no samples.
    """
    total = len(samples)
    if not total:
        raise InputError("the split has no samples: there is nothing to measure")
    if min(options.limit or total, options.first or total) >= total:
        return samples
    facts = {**samples.facts, "samples_in_split": total}
    if options.limit is None:
        return replace(samples, ids=samples.ids[: options.first], facts=facts)

    def place(index: int) -> tuple[bytes, int]:
        return order_key(options.seed, samples.ids[index]), index

    indices = sorted(heapq.nsmallest(options.limit, range(total), key=place))
    return replace(only(samples, indices), facts=facts)


def only(samples: Samples, indices: Sequence[int]) -> Samples:
    """Keep the samples at some indices."""
    ids_of_outputs = samples.ids_of_outputs
    return replace(
        samples,
        ids=[samples.ids[index] for index in indices],
        build=lambda index: samples.build(indices[index]),
        ids_of_outputs=None if ids_of_outputs is None else lambda index: ids_of_outputs(indices[index]),
    )


def chosen(samples: Samples, ids: Collection[str]) -> Samples:
    """Keep the samples with some ids, in the order of the benchmark, as a random subset of all: for `verify`."""
    wanted = set(ids)
    indices = [index for index, id in enumerate(samples.ids) if id in wanted]
    return only(samples, indices)


def readable(samples: Samples, modalities: Collection[str] | None) -> Samples:
    """Keep the samples whose modalities the model reads; all samples if its modalities are not known."""
    if modalities is None:
        return samples
    indices = [
        index
        for index, sample in enumerate(samples)
        if {MODALITIES[type(part)] for request in sample.requests for part in request.parts} <= {*modalities}
    ]
    return only(samples, indices)


def blinded(samples: Samples) -> Samples:
    """Replace every image by a uniform one of its size, and every audio clip by silence.

    Raises:
        InputError: if the task has neither.
    """
    if not any(isinstance(part, Image | Audio) for request in samples[0].requests for part in request.parts):
        raise InputError("--blind is for tasks with images or audio: this one has none")

    def build(index: int) -> Sample:
        sample = samples.build(index)
        return replace(sample, requests=tuple(_blind_request(request) for request in sample.requests))

    return replace(samples, build=build)


def _blind_request(request: Request) -> Request:
    def blind(part: Part) -> Part:
        return replace(part, blind=True) if isinstance(part, Image | Audio) else part

    if isinstance(request, Classify):  # has text only
        return request
    return replace(request, parts=tuple(blind(part) for part in request.parts))
