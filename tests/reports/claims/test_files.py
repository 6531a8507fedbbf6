"""Claims files: what they may contain, and how each mistake is reported."""

from __future__ import annotations

import operator as operator_module
import re

import pytest
from claim_mistakes import DOCUMENT, MISTAKES
from commands import evals
from conftest import CHECKOUT
from hypothesis import given
from hypothesis import strategies as st

from evals import registry
from evals.app import cli
from evals.errors import InputError
from evals.reports.claims.language import files
from evals.reports.claims.language.expressions import Number, Operation, parse, references
from evals.reports.claims.language.schema import (
    Check,
    Claim,
    ClaimReading,
    Measure,
    RecordReference,
    ResolutionCheck,
    UntestableClaim,
)
from evals.reports.claims.language.values import ValueTable


@pytest.fixture
def load(tmp_path):
    """Loads a document given as text."""

    def loader(text, **options):
        path = tmp_path / "claims.yaml"
        path.write_text(text, encoding="utf-8")
        return files.load(path, **options)

    return loader


def test_a_document_is_read(load):
    document = load(DOCUMENT)
    assert [claim.id for claim in document.claims] == ["B-59", "B-60", "B-18"]
    claims = {claim.id: claim for claim in document.claims}
    assert claims["B-60"].printed == "72.10"  # digits are kept, quoted or not
    assert claims["B-18"].subject == ("vl",)  # of what it is derived from, its baseline aside
    assert claims["B-59"].measure.metric == "accuracy"


def test_a_mistake_is_named_with_its_line(load):
    with pytest.raises(InputError, match=r"claims.yaml:6: B-59 no subject is named 'vll'; did you mean 'vl'"):
        load(DOCUMENT.replace("subject: vl\n", "subject: vll\n"))


@pytest.mark.parametrize(("name", "count"), [("a", 65), ("b", 95), ("gsm8k-verifiers", 7)])
def test_the_documents_claims_are_all_there(name, count):
    document = files.load(files.FOLDER / f"{name}.yaml")
    letter = name[0].upper()
    assert [claim.id for claim in document.claims] == [f"{letter}-{n:02}" for n in range(1, count + 1)]
    for claim in document.claims:
        assert claim.quote, claim.id
        tested = claim.measure or claim.checks or claim.derive or claim.record or claim.untestable
        by_record = any(
            fact.quantity == said.quantity and {*fact.subject} & {*said.subject}
            for said in claim.statements
            for fact in files.load_record().facts
        )
        assert tested or by_record or claim.underspecified, f"{claim.id}: nothing could test it"


@pytest.mark.parametrize("name", ["a", "b"])
def test_quotes_are_the_documents_own_words(name):
    path = CHECKOUT.parent / "shared" / "documents" / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"no document at {path}")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for claim in files.load(files.FOLDER / f"{name}.yaml").claims:
        assert claim.quote in lines[claim.line - 1], f"{claim.id}: {claim.quote!r} is not in line {claim.line}"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_kind_of_mistake_is_one_line(load, mistake):
    right, wrong, line, words = MISTAKES[mistake]
    assert right in DOCUMENT
    with pytest.raises(InputError) as caught:
        load(DOCUMENT.replace(right, wrong, 1))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"claims.yaml:{line}:" in message
    assert words in message


@pytest.mark.parametrize("text", ["", "[]", "just words", "null", "a: 1", "a:\n- &b {}\n- *c"])
def test_what_is_no_document_is_refused(load, text):
    with pytest.raises(InputError, match=r"claims.yaml:1|claims.yaml:3"):
        load(text)


@given(st.text(alphabet="()[]*/+-^,. 019aBz%é", max_size=30))
def test_any_text_is_an_expression_or_refused(text):
    try:
        identifiers = list(references(parse(text)))
    except InputError:
        return  # any other exception fails
    assert all(reference.id in text for reference in identifiers)


@pytest.mark.slow
def test_an_alias_of_aliases_is_refused(load):
    bomb = "".join(f"  x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(InputError, match="counting each use of an alias"):
        load(f"document:\n  x0: &x0 [a]\n{bomb}claims: []\n")


def test_the_editors_schema_is_up_to_date():
    written = (files.FOLDER / "schema.json").read_text(encoding="utf-8")
    assert written == files.editor_schema(), "make it again: reports/claims/README.md says how"


def test_every_document_names_the_editors_schema():
    for path in files.bundled():
        assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=schema.json\n"), path.name


def test_the_worked_example_loads_and_every_key_is_explained(load):
    page = (files.FOLDER / "README.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    quantity = page.split("`quantities: ")[1].split("`")[0]
    document = load(example.replace("claims:\n", f"  quantities: {quantity}\nclaims:\n", 1))
    assert [claim.id for claim in document.claims] == [f"C-{n}" for n in range(1, 7)]
    for model in (Claim, Check, Measure, RecordReference, ClaimReading, ResolutionCheck, UntestableClaim):
        for name in model.model_fields:
            assert f"`{name}`" in page or f"{name}:" in page, f"{model.__name__}.{name} is not explained"


def test_the_vocabularys_tasks_are_the_registered_ones():
    registry.discover()
    known = files.load_vocabulary().tasks
    for task in registry.TASKS:
        if task.name in known:  # of any other task, a plug-in's for example, no metric is checked
            assert any(task.headline == name or task.headline.startswith(name) for name in known[task.name]), task.name


def test_the_record_is_whole():
    record = files.load_record()
    assert len({fact.id for fact in record.facts}) == len(record.facts)
    for fact in record.facts:
        assert fact.quantity, fact.id
        assert fact.state != "known" or fact.digits or fact.value or fact.derive, fact.id
    for source in record.sources.values():
        assert source.address or "torch" in source.title or "counted" in source.title


def test_the_listings_run_as_the_record_says():
    torch = pytest.importorskip("torch")
    from torch import nn

    class MoELayer(nn.Module):  # document a, section 1.1
        def __init__(self, experts=64, d_model=512):
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(d_model, d_model) for _ in range(experts)])
            self.router = nn.Linear(d_model, experts)

        def forward(self, x):
            router_scores = torch.softmax(self.router(x), dim=-1)
            expert_outputs = [expert(x) for expert in self.experts]
            return sum(r * e for r, e in zip(router_scores, expert_outputs))  # noqa: B905

    layer = MoELayer()
    assert sum(parameter.numel() for parameter in layer.parameters()) == 16_842_816
    for shape in [(7, 512), (2, 7, 512)]:
        with pytest.raises(RuntimeError, match="must match the size"):
            layer(torch.zeros(shape))
    assert layer(torch.zeros(512)).shape == (512,)


def test_list_has_a_line_a_document_and_a_claim():
    brief = evals("list")
    assert brief.returncode == 0, brief.stderr
    assert "  b                95 claims  2025-09-25  " in brief.stdout
    whole = evals("list", "claims").stdout
    assert len(re.findall(r"^  [ABG]-[0-9]{2}  ", whole, flags=re.MULTILINE)) == 65 + 95 + 7
    assert re.search(
        r"^  B-59  quality +vl +vqa accuracy, record +VL scores 78.3 % on VQA 2.0.$", whole, flags=re.MULTILINE
    )


def test_check_refuses_every_mistake_in_one_line(tmp_path, capsys):
    path = tmp_path / "claims.yaml"
    for right, wrong, line, words in MISTAKES.values():
        path.write_text(DOCUMENT.replace(right, wrong, 1), encoding="utf-8")
        assert cli.main(["check", str(path), "--paper", "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert len(printed.err.splitlines()) == 1
        assert f"claims.yaml:{line}:" in printed.err
        assert words in printed.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("v3", 671_026_404_352), ("v2", 235_741_434_880), ("v2-lite", 15_706_484_224)],
)
def test_sizes_are_recomputed_from_configurations(name, parameters):
    """As `models/backend/size.py` counts them with the library's classes (test_systems.py)."""
    (fact,) = [fact for fact in files.load_record().facts if fact.id == f"{name}-parameters-counted"]
    assert fact.digits is None
    assert compute(parse(fact.derive)) == parameters


def compute(tree):
    match tree:
        case Number(text, _):
            return int(text)
        case Operation(operator, left, right):
            return {"+": operator_module.add, "*": operator_module.mul}[operator](compute(left), compute(right))


# What may be said

HEAD = "document: {id: t, title: T, subjects: {s: {name: S}, o: {name: O}}}\nclaims:\n"
ACCURACY = "measure: {task: vqa, metric: accuracy}"
MEANINGLESS = {
    "a latency in gigabytes": ('quantity: latency, printed: "3", unit: gigabytes', "latency is given in seconds"),
    "a memory in seconds": ('quantity: gpu-memory, printed: "3", unit: s', "'s' does not fit it"),
    "more than all": ('quantity: mmlu, printed: "101.5", unit: percent', "between 0 and 100 %"),
    "more than all, measured": (f'printed: "101.5", unit: "%", {ACCURACY}', "between 0 and 100 %"),
    "less than none": ('quantity: mmlu, printed: "-3", unit: percent', "between 0 and 100 %"),
    "a time below zero": ('quantity: latency, printed: "-5", unit: s', "cannot be below zero"),
    "itself": ('unit: times, derive: "T-1 * 2"', "T-1 needs T-1: a claim cannot be computed from itself"),
    "no subject of that name": ('subject: x, printed: "3", unit: s', "no subject is named 'x'"),
    "an unknown key": ('printd: "3"', "no key is named 'printd'"),
}


@pytest.mark.parametrize("name", MEANINGLESS)
def test_what_cannot_be_meant_is_refused_with_the_only_claim_named(load, name):
    claim, words = MEANINGLESS[name]
    subject = "" if "subject" in claim else "subject: s, "
    with pytest.raises(InputError) as caught:
        load(f"{HEAD}- {{id: T-1, says: x, {subject}{claim}}}\n")
    assert len(str(caught.value).splitlines()) == 1
    assert "claims.yaml:3: T-1 " in str(caught.value)
    assert words in str(caught.value)


def test_a_claim_is_not_computed_from_itself_by_way_of_another(load):
    claims = '- {id: T-1, says: x, subject: s, unit: times, derive: "T-2 * 2"}\n'
    claims += '- {id: T-2, says: x, subject: s, unit: times, derive: "T-1 / 2"}\n'
    with pytest.raises(InputError, match="T-1 needs T-2 needs T-1"):
        load(HEAD + claims)


@pytest.mark.parametrize(
    "value",
    ['"3", unit: s', '"2", unit: GB', '"78.3", unit: "%"', '"45", unit: tokens/s', '"0.03", unit: number',
     '"30", unit: d', '"700", unit: W', '"5.6", times: 1e6, unit: $', '"78.3", plus_minus: "0.4", unit: percent'],
)  # fmt: skip
def test_units_are_read_as_people_write_them(load, value):
    document = load(f"{HEAD}- {{id: T-1, says: x, subject: s, printed: {value}}}\n")
    assert document.claims[0].unit in files.load_vocabulary().units


def test_expressions_take_symbols_of_units(load):
    (claim,) = load(HEAD + '- {id: T-1, says: x, subject: s, printed: "3", unit: s, derive: 3000 ms}\n').claims
    assert claim.derive == "3000 ms"


def test_a_quote_stands_in_the_text_beside_the_file(load, tmp_path):
    (tmp_path / "text.txt").write_text("The first line.\nIt scores 78.3 % on VQA.\n")
    head = "document: {id: t, title: T, source: text.txt, subjects: {s: {name: S}}}\nclaims:\n"
    claim = "- {{id: T-1, says: x, subject: s, quote: {}, line: {}}}\n"
    assert load(head + claim.format("scores 78.3 %", 2)).claims[0].line == 2
    for typed in ('"line. It scores  78.3 %"', '"scores 78.3\u00a0%"'):  # white space is typed, not copied
        assert load(head + claim.format(typed, 1 if "line" in typed else 2))
    (tmp_path / "text.txt").write_text(
        "The first line.\nIt doesn’t need “much” — it scores 78.3 %.\n", encoding="utf-8"
    )
    assert load(head + claim.format('"doesn\'t need \\"much\\" - it"', 2))
    (tmp_path / "text.txt").write_text("The first line.\nIt scores 78.3 % on VQA.\n")
    for quote, line, words in [
        ("scores 78.9 %", 2, "does not stand in the document; the nearest is 'It scores 78.3 % on VQA.'"),
        ("scores 78.3 %", 1, "the quote stands in line 2, not in line 1"),
        ("scores 78.3 %", 7, "line 7: the document has 2 lines"),
    ]:
        with pytest.raises(InputError, match="T-1") as caught:
            load(head + claim.format(quote, line))
        assert words in str(caught.value)


def test_digits_may_have_commas_between_thousands(load):
    value = '{{id: T-1, says: x, subject: s, printed: "{}", unit: tokens}}'
    assert load(f"{HEAD}- {value.format('1,048,576')}\n").claims[0].printed == "1048576"
    for wrong in ("1,04", "10,4867", "78,3"):
        with pytest.raises(InputError, match=r"T-1 printed: .* is not a number"):
            load(f"{HEAD}- {value.format(wrong)}\n")


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("says: 2024-05-06, subject: s", "T-1 says: 2024-05-06 where text was expected; put it in quotes"),
        ("says: x, subject: t", "under 'document: subjects'"),
        ("says: x, subject: s, quantity: sst9", "under 'document: quantities'"),
        ("says: x, subject: s, unit: %", "put text that begins with %, @ or ` in quotes"),
    ],
)
def test_an_error_says_what_to_do(load, claim, words):
    with pytest.raises(InputError) as caught:
        load(f"{HEAD}- {{id: T-1, {claim}}}\n")
    assert words in str(caught.value)


def test_plus_minus_is_the_interval_of_the_value(load):
    claims = '- {id: T-1, says: x, subject: s, printed: "78.3", plus_minus: "0.4", unit: percent}\n'
    document = load(HEAD + claims)
    table = ValueTable(document, files.load_record(), files.load_vocabulary())
    assert [round(float(end), 4) for end in table.rounding_range(document.claims[0])] == [0.779, 0.787]
