"""Which image-text-to-text architectures of the library run, and how; prints the table of docs/models.md.

Small random checkpoints of the architectures in tests/support/vision_checkpoints.py answer prompts with no, one and two
images of several sizes. In batches of every size their outputs must equal those of the library alone, one prompt at a
time; a difference ends the command with an error. Of the other architectures only the processor is looked at.

    python tests/benchmarks/vision_architectures.py
    python tests/benchmarks/vision_architectures.py --only llava qwen2_vl
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import vision_checkpoints  # noqa: E402
import vision_reference  # noqa: E402

BUDGETS = (1, 300, 100_000)


def measured(name: str) -> str:
    """Compare an architecture with the library; return how it runs."""
    from evals.models.families import vision_language
    from evals.schema import Placement

    with tempfile.TemporaryDirectory() as folder, vision_checkpoints.images_only():
        vision_checkpoints.BUILDERS[name](Path(folder))
        model = vision_language.load(name, folder, Placement(device="cpu"))
        asked = vision_reference.requests(without_images=name not in vision_checkpoints.NEEDS_AN_IMAGE)
        alone = vision_reference.library_outputs(Path(folder), asked)
        for budget in BUDGETS:
            outputs = vision_reference.outputs(model, asked, budget)
            different = [id for id in alone if outputs[id] != alone[id]]
            if different:
                raise SystemExit(f"{name}, batches of {budget} positions: {different} differ from the library alone")
    if model.shares_prefixes:
        return "shared"
    return "batched" if name in vision_language.BATCHED else "one by one"


def needs_torchvision(name: str) -> bool:
    """Return whether the library's processor of a model type can only be loaded with torchvision."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES, processor_class_from_name

    try:
        processor = processor_class_from_name(PROCESSOR_MAPPING_NAMES[name])
        attributes = processor.get_attributes()
    except ImportError:
        return True
    return "video_processor" in attributes or "pil" not in (IMAGE_PROCESSOR_MAPPING_NAMES.get(name) or {"pil": ""})


def unmeasured(name: str) -> str:
    """Say what is known of an architecture that is not compared."""
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    if name in vision_checkpoints.WITHOUT_PLACEHOLDER:
        return "refused: no image placeholder"
    named = name in PROCESSOR_MAPPING_NAMES
    return "not compared; one by one" if named else "not compared; the library names no processor"


def main() -> None:
    """Print the table."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="TYPE", default=sorted(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES))
    print("| `model_type` | runs | processor needs `vision` |\n|---|---|---|")
    for name in parser.parse_args().only:
        runs = measured(name) if name in vision_checkpoints.BUILDERS else unmeasured(name)
        needs = "yes" if name in PROCESSOR_MAPPING_NAMES and needs_torchvision(name) else ""
        print(f"| {name} | {runs} | {needs} |", flush=True)


if __name__ == "__main__":
    main()
