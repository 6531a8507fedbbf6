"""Adapters: applied as peft applies them, whole or not at all, and never ignored."""

from __future__ import annotations

import json
import shutil

import checkpoints
import pytest

import evals as suite
from evals.data.checkpoints import read_adapter
from evals.errors import InputError
from evals.execution.resolve import resolve
from evals.models.backend import adapters
from evals.models.families import causal, classifier, encoder
from evals.registry import discover
from evals.schema import Placement

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*is_gradient_checkpointing:FutureWarning"
    ),  # peft calls what the library deprecates
    pytest.mark.filterwarnings("ignore:.*tie_word_embeddings:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning"),
]

CPU = Placement(device="cpu")
TEXT = "What color is the large circle? red"


@pytest.fixture(autouse=True)
def needs_peft():
    pytest.importorskip("peft", exc_type=ImportError)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return checkpoints.language_model(tmp_path_factory.mktemp("base"), "llama")


def adapt(folder, base, *, seed=1, auto="AutoModelForCausalLM", kind="LoraConfig", grow=0, **options):
    """Save a random adapter of a base model; returns its folder."""
    import peft
    import torch
    import transformers

    torch.manual_seed(seed)
    labels = options.pop("num_labels", None)
    model = getattr(transformers, auto).from_pretrained(base, **({"num_labels": labels} if labels else {}))
    if grow:
        model.resize_token_embeddings(model.config.vocab_size + grow)
    options = {"target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM", **options}
    model = peft.get_peft_model(model, getattr(peft, kind)(**options))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * (0.2 if "classifier" not in name else 1.0)
    model.save_pretrained(folder)
    return folder


def attached(folder, base, auto="AutoModelForCausalLM", grow=0, **options):
    """The base model with the adapter beside its weights, as peft runs it."""
    import peft
    import transformers

    model = getattr(transformers, auto).from_pretrained(base, **options)
    if grow:
        model.resize_token_embeddings(model.config.vocab_size + grow)
    return peft.PeftModel.from_pretrained(model, folder).eval()


def outputs(model, tokenizer):
    import torch

    inputs = tokenizer(TEXT, return_tensors="pt")
    inputs.pop("token_type_ids", None) if "llama" in type(model).__name__.lower() else None
    with torch.inference_mode():
        return model(**inputs).logits[0].numpy()


@pytest.mark.parametrize(
    "options",
    [
        {"r": 4, "lora_alpha": 8},
        {"r": 4, "use_rslora": True, "bias": "all"},
        {"r": 4, "use_dora": True},
        {"r": 2, "modules_to_save": ["lm_head", "embed_tokens"]},
        {"r": 2, "target_modules": "all-linear", "rank_pattern": {"q_proj": 5}, "alpha_pattern": {"v_proj": 3}},
        {"kind": "IA3Config", "target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
        {"kind": "LoHaConfig", "r": 2},
    ],
    ids=["lora", "rslora-bias", "dora", "saved-modules", "patterns", "ia3", "loha"],
)
def test_an_adapter_changes_the_model_as_peft_changes_it(tmp_path, base, options):
    folder = adapt(tmp_path, base, **options)
    model = causal.load("tiny", str(folder), CPU)
    expected = outputs(attached(folder, base), model.tokenizer)
    assert outputs(model.model, model.tokenizer) == pytest.approx(expected, abs=2e-4)
    plain = causal.load("tiny", str(base), CPU)
    assert abs(outputs(plain.model, plain.tokenizer) - expected).max() > 0.01, "the adapter would go unnoticed"
    facts = model.facts["adapter"]
    assert (facts["base"], facts["base_digest"]) == (str(base), plain.facts["digest"])
    assert facts["digest"] != plain.facts["digest"] != model.facts["digest"]


def test_a_tied_embedding_changes_alone(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(checkpoints.config_of("llama", tie_word_embeddings=True)).save_pretrained(base)
    checkpoints.tokenizer(base).save_pretrained(base)
    folder = adapt(tmp_path / "adapter", base, r=4, target_modules=["embed_tokens", "q_proj"])
    model = causal.load("tiny", str(folder), CPU)
    assert outputs(model.model, model.tokenizer) == pytest.approx(
        outputs(attached(folder, base), model.tokenizer), abs=2e-4
    )


@pytest.mark.parametrize(
    "options",
    [{"modules_to_save": ["lm_head", "embed_tokens"]}, {"target_modules": ["lm_head", "embed_tokens", "q_proj"]}],
    ids=["saved", "adapted"],
)
def test_added_tokens_come_with_their_embeddings(tmp_path, base, options):
    folder = adapt(tmp_path, base, grow=3, r=2, **options)
    model = causal.load("tiny", str(folder), CPU)
    assert model.model.get_input_embeddings().weight.shape[0] == 403
    expected = outputs(attached(folder, base, grow=3), model.tokenizer)
    assert outputs(model.model, model.tokenizer) == pytest.approx(expected, abs=2e-4)


def test_a_classifier_comes_from_an_adapter_of_an_encoder(tmp_path):
    import torch
    from transformers import AutoModelForPreTraining

    torch.manual_seed(0)
    base = tmp_path / "base"
    AutoModelForPreTraining.from_config(checkpoints.config_of("bert")).save_pretrained(base)
    checkpoints.pair_tokenizer(base, types=True).save_pretrained(base)
    auto = "AutoModelForSequenceClassification"
    folder = adapt(
        tmp_path / "adapter", base, auto=auto, num_labels=3, r=4, target_modules=["query"], task_type="SEQ_CLS"
    )
    discover()
    found = resolve(str(folder), scale="mini")
    assert found.family.name == "classifier"
    model = found.load(CPU)
    assert isinstance(model, classifier.Classifier)
    expected = outputs(attached(folder, base, auto, num_labels=3), model.tokenizer.tokenizer)
    assert outputs(model.model, model.tokenizer.tokenizer) == pytest.approx(expected, abs=2e-4)


def test_an_encoder_and_a_translator_take_adapters(tmp_path):
    import torch

    base = checkpoints.encoder(tmp_path / "bert")
    folder = adapt(
        tmp_path / "a", base, auto="AutoModel", r=4, target_modules=["query"], task_type="FEATURE_EXTRACTION"
    )
    model = encoder.load("tiny", str(folder), CPU)
    inputs = model.tokenizer.tokenizer(TEXT, return_tensors="pt")
    with torch.inference_mode():
        states = attached(folder, base, "AutoModel")(**inputs).last_hidden_state
        assert model.model(**inputs).last_hidden_state.numpy() == pytest.approx(states.numpy(), abs=2e-4)
    base = checkpoints.language_model(tmp_path / "t5", "t5")
    auto = "AutoModelForSeq2SeqLM"
    folder = adapt(tmp_path / "b", base, auto=auto, r=4, target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM")
    translator = causal.load("tiny", str(folder), CPU)
    inputs = {**translator.tokenizer(TEXT, return_tensors="pt"), "decoder_input_ids": torch.tensor([[2, 5]])}
    with torch.inference_mode():
        logits = attached(folder, base, auto)(**inputs).logits
        assert translator.model(**inputs).logits.numpy() == pytest.approx(logits.numpy(), abs=2e-4)


def test_a_folder_with_a_model_and_an_adapter_uses_both(tmp_path, base):
    folder = adapt(tmp_path / "adapter", base, r=4)
    beside = shutil.copytree(base, tmp_path / "beside")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(folder / name, beside / name)
    (beside / "adapter_config.json").write_text(
        (folder / "adapter_config.json").read_text().replace(str(base), "/gone/elsewhere")
    )
    one, two = (causal.load("tiny", str(path), CPU) for path in (folder, beside))
    assert (outputs(one.model, one.tokenizer) == outputs(two.model, two.tokenizer)).all()
    assert one.facts["adapter"]["base_digest"] == two.facts["adapter"]["base_digest"]


def test_the_base_may_lie_beside_the_adapter(tmp_path, base, monkeypatch):
    folder = adapt(tmp_path / "adapter", base, r=4)
    shutil.copytree(base, folder / "base")
    change(folder, base_model_name_or_path="base")
    assert read_adapter(folder).base == folder / "base"


def change(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def rewrite(folder, edit):
    from safetensors.torch import load_file, save_file

    path = folder / "adapter_model.safetensors"
    save_file(edit(load_file(path)), path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: change(f, base_model_name_or_path=None), "names no base model"),
        (lambda f: change(f, base_model_name_or_path="/gone/model"), "the adapter's base model is not found"),
        (lambda f: change(f, base_model_name_or_path=str(f)), "which is an adapter itself"),
        (lambda f: change(f, target_modules=["nothing"]), r"cannot be applied: Target modules"),
        (lambda f: change(f, peft_type="NEW_METHOD"), "cannot be applied"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "missing required field `peft_type`"),
        (lambda f: (f / "adapter_config.json").unlink(), "without adapter_config.json"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "adapter_model.safetensors cannot be read"),
        (
            lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
            "no adapter_model.safetensors, only adapter_model.bin: other formats can run code",
        ),
        (lambda f: rewrite(f, lambda w: dict(list(w.items())[1:])), "lack 1 tensors, the first being base_model"),
        (
            lambda f: rewrite(f, lambda w: {**w, "base_model.model.other.lora_A.weight": next(iter(w.values())) + 0}),
            "has no place for 1 tensors, the first being base_model.model.other",
        ),
        (lambda f: rewrite(f, lambda w: {k: v[:1] for k, v in w.items()}), "cannot be applied: .*size mismatch"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_in_one_line(tmp_path, base, spoil, words):
    folder = adapt(tmp_path / "adapter", base, r=4)
    spoil(folder)
    with pytest.raises(InputError, match=words) as refused:
        causal.load("tiny", str(folder), CPU)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("field", ["target_modules", "exclude_modules", "rank_pattern"])
def test_a_pattern_that_takes_for_ever_is_refused(tmp_path, base, monkeypatch, field):
    monkeypatch.setattr(adapters, "_PATTERN_SECONDS", 1)
    folder, pattern = adapt(tmp_path, base), "(.*)*(.*)*(.*)*x$"
    change(folder, **{field: {"(": 1, pattern: 4} if field == "rank_pattern" else pattern})
    with pytest.raises(InputError, match=r"adapter_config\.json: its patterns, such as .* take over 1 seconds"):
        causal.load("tiny", str(folder), CPU)


def test_trained_prompts_are_refused(tmp_path, base):
    import peft
    from transformers import AutoModelForCausalLM

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="it adds trained prompts or prefixes"):
        causal.load("tiny", str(tmp_path), CPU)


def test_without_peft_the_extra_is_named(tmp_path, base, monkeypatch):
    folder = adapt(tmp_path / "adapter", base, r=4)
    monkeypatch.setattr(adapters.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"\(LORA\), which needs peft: pip install 'claim-evals\[adapters\]'"):
        causal.load("tiny", str(folder), CPU)


@pytest.mark.slow
def test_a_run_of_an_adapter_writes_other_texts_than_its_base(tmp_path, base):
    folder = adapt(tmp_path / "adapter", base, r=8)
    runs = [
        suite.run(
            str(model), "math/gsm8k", limit=4, long_prompts="truncate-left", max_new_tokens=8, out=tmp_path / name
        )
        for name, model in (("base-run", base), ("adapter-run", folder))
    ]
    texts = [[row.output for row in run.samples()] for run in runs]
    assert texts[0] != texts[1]
    assert len({run.manifest.signature for run in runs}) == 2
