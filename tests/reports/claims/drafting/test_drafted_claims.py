"""Drafts of annotated articles: what is found, where it stands, what follows from it, and what is convicted."""

from __future__ import annotations

import json
import re
import sys
from decimal import Decimal
from fractions import Fraction

import annotated_texts
import pytest
from annotated_texts import FOLDER, Score, annotated, drafted, of_file, score
from servers import FakeServer, chat

from evals.app import check, draft
from evals.errors import InputError
from evals.reports.claims.drafting.drafter import draft as draft_article
from evals.reports.claims.drafting.language.exclusions import find_excluded
from evals.reports.claims.drafting.language.numbers import find_numbers
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.readers.pdf import blocks_of
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.text.names import Names, _add_hub_ids
from evals.reports.claims.language.expressions import referenced_claims
from evals.reports.claims.language.files import load
from evals.reports.claims.language.sources.articles import Article

TEXTS = sorted((FOLDER / "texts").iterdir())
NUMBERS = [
    ("V3 has 1.3 billion parameters", "1.3 1e9 parameters exactly"),
    ("参数规模为13亿", "13 1e8 parameters exactly"),
    ("保持85%以上", "85 1 percent at-least"),
    ("控制在18GB以内", "18 1 gigabytes at-most"),
    ("at most 500 ms", "500 1 milliseconds at-most"),
    ("about 0.8 s", "0.8 1 seconds about"),
    ("more than 4,000 teams", "4000 1 items above"),
    ("提升3倍", "3 1 times exactly"),
    ("a 7B-parameter model", "7 1e9 parameters exactly"),
    ("trained on 3.2万亿 token", "3.2 1e12 tokens exactly"),
    ("提升约三成", "30 1 percent about"),
    ("costs $0.40 per million tokens", "0.40 1 dollars exactly"),
    ("twice as fast", "2 1 times exactly"),
    ("680{,}000 hours of audio", "680000 1 hours exactly"),
    ("a throughput of 1,850 tokens/s", "1850 1 tokens-per-second exactly"),
    ("降低了6.2个百分点", "6.2 1 points exactly"),
    ("0.8秒", "0.8 1 seconds exactly"),
    ("支持50+ languages", "50 1 items at-least"),
    ("ranging in scale from 7 billion to 70 billion parameters", "7 1e9 parameters exactly"),
    ("每秒可达10000+token", "10000 1 tokens-per-second at-least"),
    ("训练了 5.03 亿个 token", "5.03 1e8 tokens exactly"),
    ("a cost of 3.3 × 10^18 FLOPs", "3.3 1e18 operations exactly"),
]


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_a_number_is_read_with_what_it_counts(text, expected):
    digits, times, unit, bound = expected.split()
    numbers = [number for number in find_numbers(text) if number.unit is not None]
    assert [(n.digits, n.times, n.unit, n.bound) for n in numbers] == [(digits, Decimal(times), unit, bound)]


def test_ranges_and_changes_are_told_apart():
    (number,) = find_numbers("激活2-64个专家")
    assert (number.digits, number.upto, number.unit) == ("2", "64", "experts")
    assert [(n.digits, n.upto) for n in find_numbers("from 12 % to 67 %")] == [("12", None), ("67", None)]
    assert [(n.digits, n.upto) for n in find_numbers("between 4 and 6 cents")] == [("4", "6")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see https://example.org/v2/78.3", "address"), ("as shown in Table 2", "reference"), ("[12, 13]", "citation"),
        ("(Smith et al., 2020)", "citation"), ("transformers>=4.44.0", "version"), ("Python 3.11", "version"),
        ("v0.4.2", "version"), ("on March 4, 2025", "date"), ("2025年9月12日", "date"), ("on 8 A100 GPUs", "hardware"),
        ("a batch size of 32", "batch size"), ("5-shot", "shots"), ("temperature 0.6", "temperature"),
        ("FP16", "format"),
        ("with 3 seeds", "repetitions"), ("a learning rate of 2e-5", "hyperparameter"), ("top-5", "metric name"),
        ("p < 0.01", "statistics"), ("1024x1024", "image size"), ("an IoU threshold of 0.5", "setting"),
        ("在8个A100上", "hardware"), ("6GB 显存的显卡", "hardware"), ("Videos are sped up by 2x", "setting"),
        ("The 70B version", "setting"),
    ],
)  # fmt: skip
def test_what_is_no_claim_is_excluded(text, kind):
    excluded = find_excluded(text)
    assert kind in {part.kind for part in excluded}
    digits = [match.start() for match in re.finditer(r"\d", text)]
    assert all(any(part.start <= place < part.end for part in excluded) for place in digits)


@pytest.mark.slow
def test_the_reach_on_annotated_texts(tmp_path):
    total = Score()
    for path in TEXTS:
        text, annotations = annotated(path)
        total += sum(score(annotations, drafted(text, path.name, tmp_path)).values(), Score())
    assert total.annotated > 150
    assert total.right / total.annotated >= 0.9
    assert total.with_subject / total.annotated >= 0.85
    assert total.right / total.drafted >= 0.9


def test_the_score_would_notice(tmp_path):
    text, annotations = annotated(FOLDER / "texts" / "card.md")
    wrong = text.replace("7.2 billion", "7.3 billion").replace(
        "Otter-1-7B, the model gains 5.8", "Otter-1-7B, the model gains 5.9"
    )
    right = sum(score(annotations, drafted(text, "card.md", tmp_path)).values(), Score())
    less = sum(score(annotations, drafted(wrong, "card.md", tmp_path)).values(), Score())
    assert less.right == right.right - 2


@pytest.mark.parametrize("change", ["as it is", "CRLF", "byte order mark"])
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_each_span_is_that_of_the_number_in_the_source(path, change, tmp_path):
    text = annotated(path)[0]
    if change == "CRLF":
        text = text.replace("\n", "\r\n")
    if change == "byte order mark":
        text = "\ufeff" + text
    claims = drafted(text, path.name, tmp_path)
    assert claims
    for claim in claims:
        printed = text[claim.start : claim.end]
        if claim.claim.printed is None:  # in words
            assert not re.search(r"\d", printed)
        else:
            digits = re.sub(r"[,{}]|(?<=\d)\s", "", printed)
            assert digits.startswith(claim.claim.printed.lstrip("-")) or claim.claim.printed == f"0{digits}"


def relations(path, folder):
    """For each relation of a text: whether it holds, its operands by place, and the drafted claim."""
    text, annotations = annotated(path)
    claims = drafted(text, path.name, folder)
    places = {annotation.label: annotation for annotation in annotations if annotation.label}

    def at(annotation):
        return next((c for c in claims if c.start < annotation.end and annotation.start < c.end), None)

    for annotation in annotations:
        if annotation.relation:
            names = re.findall(r"[\w]+", annotation.relation.partition("(")[2])
            yield annotation.relation, {at(places[name]).id for name in names}, at(annotation)


@pytest.mark.slow
def test_relations_are_proposed_with_their_operands(tmp_path):
    found, total = 0, 0
    for path in TEXTS:
        for relation, operands, claim in relations(path, tmp_path):
            if "mean" in relation:
                continue  # said of a column: the next test
            total += 1
            found += {*referenced_claims(claim.derive)} == operands
    assert total >= 15
    assert found / total >= 0.8


def test_columns_of_plain_means_are_declared(tmp_path):
    text, _ = annotated(FOLDER / "texts" / "card.md")
    drafted(text, "card.md", tmp_path)
    document = load(tmp_path / "card.md.yaml")
    table = next(claim.cell.table for claim in document.claims if hasattr(claim, "cell"))
    assert table.columns[-1].mean_of == ("MMLU (5-shot)", "GSM8K (8-shot)", "HumanEval")
    weighted = text.replace("| 51.9", "| 53.9").replace("**51.9**", "**53.9**").replace("41.2 |", "43.2 |")
    drafted(weighted, "card.md", tmp_path)
    document = load(tmp_path / "card.md.yaml")
    assert next(claim.cell.table for claim in document.claims if hasattr(claim, "cell")).columns[-1].mean_of == ()


@pytest.mark.slow
def test_only_planted_relations_are_convicted(tmp_path):
    paths = []
    for path in TEXTS:
        article = tmp_path / path.name
        article.write_text(annotated(path)[0], encoding="utf-8")
        paths.append(article)
    checked = check.check(paths, paper=True, out=tmp_path / "out")
    assert "drafted from their texts by rules" in checked.about
    convicted = {(a.document.document.id, a.claim.quote) for a in checked.convicted}
    assert {id for id, _ in convicted} <= {"blog", "release", "article"}
    assert any("a saving of 65%" in quote for _, quote in convicted)
    claims = json.loads((tmp_path / "out" / "claims.json").read_text())["claims"]
    assert all(claim["span"] for claim in claims)


@pytest.mark.parametrize(
    ("text", "derive"),
    [
        ("Otter 2 scores 80.0 % on MMLU, Otter 1 64.0 %. On MMLU it is 25 % better.", "(C-1 - C-2) / C-2"),
        ("Otter 2 needs 3.0 GB of memory, Otter 1 needs 4.0 GB. That is 25 % less memory.", "(C-2 - C-1) / C-2"),
        ("Memory falls from 4.0 GB to 3.0 GB, a saving of 25 %.", "(C-1 - C-2) / C-1"),
        ("Otter 2 answers in 40 ms, Otter 1 in 120 ms: Otter 2 is 3 times faster than Otter 1.", "C-2 / C-1"),
    ],
)  # fmt: skip
def test_a_change_finds_its_pair(text, derive):
    claims = draft_article(read_markdown(f"# Otter 2\n\n{text}\n")).claims
    assert [claim.derive for claim in claims if claim.is_change] == [derive]


@pytest.mark.parametrize(
    "text",
    [
        "Otter 2 scores 80.0 % on the dev set of SST-2. On the test set of SST-2 it scores 78.1 %.",
        "On average over 12 tasks Otter 2 is 7 % better than Otter 1. On MMLU it scores 80.0 %, Otter 1 79.0 %.",
        "Otter 2 scores 88.7 % on MNLI matched and 88.2 % on MNLI mismatched.",
        "Otter 2 answers in 40 ms on a GPU. Otter 2 answers in 900 ms on a CPU.",
        "Routing takes 0.8 ms, against 0.5 ms for the old router, i.e. it is 60 % slower.",
        "On MMLU Otter 2 (75.9 %) is ahead of Otter 1 (72.8 %) by 3.1 points and over the others by 7.8 points.",
        "| Model | A | B | Average |\n|--|--|--|--|\n| Otter | 80.1 | 70.1 | 77.3 |\n| Tern | 60.1 | 50.2 | 59.8 |",
    ],
)
def test_what_only_looks_like_a_contradiction_convicts_nothing(text, tmp_path):
    article = tmp_path / "otter.md"
    article.write_text(f"# Otter 2\n\n{text}\n", encoding="utf-8")
    assert check.check([article], paper=True).convicted == []


def test_the_command_writes_a_file_that_check_reads(command, tmp_path):
    article = tmp_path / "card.md"
    article.write_text(annotated(FOLDER / "texts" / "card.md")[0], encoding="utf-8")
    done = command("draft", str(article))
    assert done.returncode == 0
    assert "12 cells of 1 table" in done.stdout
    claims = of_file(tmp_path / "card.md.yaml")
    assert len(claims) == 31
    assert all(claim.claim.confidence and claim.claim.reason and claim.claim.proposed_by == "rules" for claim in claims)
    done = command("check", str(article), "--paper", "--out", str(tmp_path / "out"))
    assert done.returncode == 0
    assert "drafted from its text by rules" in done.stdout
    assert (tmp_path / "out" / "drafted-card.md.yaml").is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.md", b"No number here.", "no statement with a number"),
        ("latin.txt", "Größe 3 GB".encode("latin-1"), "not UTF-8 at byte"),
        ("a.docx", b"x", "cannot draft from '.docx'"),
        ("broken.pdf", b"%PDF-1.4 nothing", "cannot be read as PDF"),
        ("bars.md", b"|" * 999 + b"\n" + b"|-" * 99 + b"\n", "no statement with a number"),
    ],
)
def test_what_cannot_be_drafted_is_one_line(name, content, message, command, tmp_path):
    (tmp_path / name).write_bytes(content)
    done = command("draft", str(tmp_path / name))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_pypdf_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(InputError, match=r"pip install 'claim-evals\[pdf\]'"):
        read(b"%PDF-1.4", "a.pdf")


def test_a_reader_accepts_edits_and_drops(tmp_path):
    article = tmp_path / "otter.md"
    article.write_text(
        "# Otter 2\n\nOtter 2 answers in 0.8 s. It needs 4 GB of memory. It costs $2 per million tokens.\n"
    )
    answers = iter(["a\n", "x\n", "e\n", "printed=many\n", "printed=5\n", "subject=Otter 3\n", "\n", "d\n"])
    shown = []
    draft.write(article, tmp_path / "o.yaml", ask=lambda question: shown.append(question) or next(answers))
    assert "confidence" in shown[0]
    assert any("is not a number" in question for question in shown)
    claims = {claim.claim.review: claim for claim in of_file(tmp_path / "o.yaml")}
    assert {*claims} == {"accepted", "edited"}  # the dropped one stays in the file and is not checked
    assert (claims["edited"].value, claims["edited"].subjects) == (Fraction(5), ("Otter 3",))
    assert "review: dropped" in (tmp_path / "o.yaml").read_text()


def test_an_interrupted_review_keeps_its_answers(tmp_path):
    (tmp_path / "otter.md").write_text("# Otter 2\n\nOtter 2 answers in 0.8 s. It needs 4 GB of memory.\n")
    answers = iter(["a\n"])

    def ask(question):
        try:
            return next(answers)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt, match=r"o\.yaml holds the claims with the answers so far"):
        draft.write(tmp_path / "otter.md", tmp_path / "o.yaml", ask=ask)
    assert [claim.claim.review for claim in of_file(tmp_path / "o.yaml")] == ["accepted", None]
    answers, shown = iter(["e\n", "subject=Otter 3\n", "\n"]), []
    draft.write(tmp_path / "otter.md", tmp_path / "o.yaml", ask=lambda text: shown.append(text) or next(answers))
    assert "C-2" in shown[0], "the same command goes on where the review was interrupted"
    draft.write(tmp_path / "otter.md", tmp_path / "o.yaml")
    claims = [(claim.claim.review, claim.subjects) for claim in of_file(tmp_path / "o.yaml")]
    assert claims == [("accepted", ("Otter 2",)), ("edited", ("Otter 3",))], "a new draft keeps the answers"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("marked.md", "# Otter 2\n\nOtter 2 answers in 0.8 s.\n".encode("utf-16")),
        ("bare.md", "# Otter 2\n\nOtter 2 answers in 0.8 s.\n".encode("utf-16-le")),
        ("declared.html", '<meta charset="gb2312"><h1>Otter 2</h1><p>Otter 2的延迟为0.8 s。'.encode("gb18030")),
        (
            "fence.md",
            b"# Otter 2\n\n```\n+-----------+\n| SST-2 | RTE |\n+-----------+\n| 0.8 | 0.7 |\n+-----------+\n```\n",
        ),
    ],
)
def test_an_encoding_that_the_file_names_and_tables_in_code_are_read(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    checked = check.check([tmp_path / name], paper=True)
    assert (checked.assessments[0].claim.printed, checked.assessments[0].claim.subject) == ("0.8", ("otter-2",))


def test_an_undeclared_encoding_is_one_line_that_says_how_to_convert():
    with pytest.raises(InputError, match=r"iconv -f GB18030 -t UTF-8 zh\.md > utf8-zh\.md"):
        read("苍鹭三号的准确率为68.40%".encode("gb18030"), "zh.md")


def test_a_claim_computed_from_a_dropped_one_is_refused(tmp_path):
    article = tmp_path / "otter.md"
    article.write_text("# Otter 2\n\nMemory falls from 4.0 GB to 3.0 GB, a saving of 25 %.\n")
    draft.write(article, tmp_path / "o.yaml")
    text = (tmp_path / "o.yaml").read_text()
    (tmp_path / "o.yaml").write_text(text.replace("  proposed_by: rules", "  proposed_by: rules\n  review: dropped", 1))
    with pytest.raises(InputError, match="is computed from C-1, which is dropped"):
        load(tmp_path / "o.yaml")


def test_names_of_texts_are_read_once():
    assert annotated_texts.same_subject(("DeepSeek-V3",), ("V3",))
    assert not annotated_texts.same_subject(("Otter 1",), ("Otter 2",))


PROPOSALS = [
    {"quote": "answers in 0.8 s", "number": "0.8", "subject": "Otter 2", "says": "It needs 0.8 seconds."},
    {"quote": "won 31 awards", "number": "31", "subject": "Otter 2", "unit": "items", "quantity": "Awards"},
    {"quote": "won 32 awards", "number": "32", "subject": "Otter 2", "unit": "items"},
    {"quote": "won 31 awards", "number": "7", "subject": "Otter 2", "unit": "items"},
    {"quote": "in 12 cities", "number": "12", "subject": "Badger 9", "unit": "items"},
    {"quote": "in 12 cities", "number": "12", "subject": "Otter 2", "unit": "furlongs"},
    {"quote": "for 9 days", "number": "9", "unit": "days", "quantity": "x" * 2000, "says": "9: a\u202e\x00\n- b: 9"},
]  # fmt: skip


def test_a_model_proposes_with_exact_quotes_and_is_replayed(tmp_path):
    article = tmp_path / "otter.md"
    article.write_text("# Otter 2\n\nOtter 2 answers in 0.8 s. It won 31 awards in 12 cities for 9 days.\n")
    output = "Here they are:\n" + "\n".join(json.dumps(entry) for entry in PROPOSALS)
    output += '\n{"number": ' + "9" * 5_000 + "}" + '{"a":' * 20_000  # an integer and a depth that Python refuses
    with FakeServer(lambda call: chat(output)) as server:
        first = draft.write(article, tmp_path / "o.yaml", llm=f"endpoint:{server.url}#m")
    claims = {claim.claim.printed: claim for claim in of_file(tmp_path / "o.yaml")}
    assert {*claims} == {"0.8", "31", "9"}
    assert claims["0.8"].claim.says == "It needs 0.8 seconds."
    assert claims["0.8"].claim.proposed_by == "rules"
    assert (claims["31"].claim.proposed_by, claims["31"].claim.quantity) == ("model", "awards")
    assert article.read_text()[claims["31"].start : claims["31"].end] == "31"
    for reason in (
        "does not stand in the article",
        "'7' is not a number",
        "no 'Badger 9'",
        "no unit is named 'furlongs'",
    ):
        assert reason in first
    again = draft.write(article, tmp_path / "p.yaml", llm=f"replay:{tmp_path / 'o.proposals.jsonl'}")
    assert again.replace("p.yaml", "o.yaml") == first
    assert (tmp_path / "p.yaml").read_text() == (tmp_path / "o.yaml").read_text()


LATEX = r"""\newcommand{\pct}[1]{#1\%}\newcommand{\ours}{Ibis}
\title{Ibis} \ours{} scores \pct{78.3} on MMLU with $k=5$ and needs \SI{3.2}{\giga\byte} of memory.\footnote{It answers
in \qty{12}{\milli\second}.} It reaches a mAP$_{50}$ of $0.84$. % It scores 11.1\% on MMLU.
\begin{table}\begin{tabular}{l|cc}
\multirow{2}{*}{Model} & \multicolumn{2}{c}{\makecell{Accuracy\\(\%)}} \\ & BoolQ & RTE \\ \midrule
\multirow{2}{*}{Ibis} & \textbf{71.2} & $65.0_{\pm 0.3}$\tnote{a} \\
Tern~\cite{x} & \underline{70.1}\textsuperscript{1} & \phantom{0}6.5 \\ \end{tabular}
\begin{tablenotes}\item[a] Ibis has 1.3B parameters.\end{tablenotes}\end{table}
"""


def test_commands_of_latex_are_read_as_they_print(tmp_path):
    claims = {(c.subjects[0], c.unit, c.value): LATEX[c.start : c.end] for c in drafted(LATEX, "ibis.tex", tmp_path)}
    assert claims == {
        ("Ibis", "percent", Fraction("78.3")): "78.3", ("Ibis", "gigabytes", Fraction("3.2")): "3.2",
        ("Ibis", "milliseconds", Fraction(12)): "12", ("Ibis", "number", Fraction("0.84")): "0.84",
        ("Ibis", "percent", Fraction("71.2")): "71.2", ("Ibis", "percent", Fraction(65)): "65.0",
        ("Tern", "percent", Fraction("70.1")): "70.1", ("Tern", "percent", Fraction("6.5")): "6.5",
        ("Ibis", "parameters", Fraction(1_300_000_000)): "1.3B",
    }  # fmt: skip


TABLES = """\
# Heron

| # | Model | Size | Beam size | Time | Power (W) | F1 / EM |
|---|-------|------|-----------|------|-----------|---------|
| 1 | Heron 2 | 7B | 5 | 2m23s | 350 | 93.4 / 86.7 |
| 2 | Heron 2 | 13B | 5 | 1h00m05s | 400 | - |
| 3 | Tern ([ModelScope](https://m.example)) | 7B | 5 | 59s | 300 | 91.0 / 80.5 |

| Dataset | Model | Documents | SEED | Over 512 |
|---------|-------|-----------|------|----------|
| arxiv | Wren | 28 388 | 70.1 | 12 % |
| imdb | Wren | 2 500 | 65.0 | 15 % |

* https://hub.example/timm/vit_base.in1k (83.24% top-1)
* `vit_large_p16.in1k` - 88.1% top-1
"""


def test_rows_have_a_name_and_columns_a_unit(tmp_path):
    claims = {(c.subjects[0], c.unit, float(c.value)) for c in drafted(TABLES, "heron.md", tmp_path)}
    assert {("Heron 2 7B", "seconds", 143), ("Heron 2 13B", "seconds", 3605), ("Tern 7B", "seconds", 59)} <= claims
    assert {("Heron 2 7B", "watts", 350), ("Tern 7B", "percent", 80.5)} <= claims
    assert {("Wren", "documents", 28388), ("Wren", "percent", 65.0), ("vit_base.in1k", "percent", 83.24)} <= claims
    assert ("vit_large_p16.in1k", "percent", 88.1) in claims
    assert not any(unit == "number" for _, unit, _ in claims)  # the beam size is a condition


def test_a_fall_that_names_no_baseline_is_not_held_against_values_far_away(tmp_path):
    article = tmp_path / "otter.md"
    far = "It is open. " * 80
    article.write_text(
        f"# Otter 2\n\nOtter 2 has a WER of 7.0 %. {far}\n\nTern 1 has a WER of 7.7 %. {far}\n\n"
        "Otter 2 is as fast as before, with an average WER that is 7.8 % lower.\n"
    )
    assert check.check([article], paper=True).convicted == []


def test_the_files_that_an_article_includes_are_read_if_they_lie_beside_it(tmp_path):
    folder = tmp_path / "paper"
    (folder / "tables").mkdir(parents=True)
    (tmp_path / "secret.tex").write_text("Otter 2 scores 99.0 \\% on MMLU.")
    (folder / "tables" / "results.tex").write_text("Otter 2 scores 78.3 \\% on MMLU. \\input{tables/results}")
    (folder / "main.tex").write_text(
        "\\title{Otter 2} % \\input{old}\n\\input{tables/results} \\input{../secret} \\input{lost}"
    )
    said = draft.write(folder / "main.tex", tmp_path / "o.yaml")
    assert "left out: files that it includes and that are not read: tables/results, ../secret, lost" in said
    assert {claim.claim.printed for claim in of_file(tmp_path / "o.yaml")} == {"78.3"}


PDF_TEXT = """\
Otter: A Model That Swims
1 Results
Otter 2 has a loss y<t of tokens and reaches 78.3 % on MMLU.1
1Footnotes are read, too: Otter 2 needs 4 GB of memory. If a > b, it stops.
Model MMLU RTE BoolQ
Otter 2 78.3 65.0 71.2
Tern 1 60.1 55.1 70.3
Model Dec Enc Latency (ms) Avg. WER
Otter 2 1 32 91.2 3.3 0.4
"""


def test_the_lines_of_a_pdf_are_paragraphs_or_rows():
    blocks = list(blocks_of(PDF_TEXT))
    claims = draft_article(Article(PDF_TEXT, tuple(blocks), "Otter", is_extracted=True))
    assert [(c.printed, c.unit, PDF_TEXT[slice(*c.span)]) for c in claims.claims] == [
        ("78.3", "percent", "78.3"), ("4", "gigabytes", "4"),
    ]  # fmt: skip
    assert [[cell.text for cell in row] for block in blocks for row in block.rows][1:] == [
        ["Otter 2", "78.3", "65.0", "71.2"], ["Tern 1", "60.1", "55.1", "70.3"],
    ]  # fmt: skip


UNSEEN = """\
# Heron-Omni 2

| Metric | Before | After | Change |
|---|---:|---:|---:|
| Audio throughput | 26.55 audio-s/s | 42.88 audio-s/s | +61.5% |
| Median E2EL | 9654ms | 5699ms | −41.0% |
| P99 E2EL | 17686ms | 8956ms | −39.4% |

At batch size 1, this reduced preparation latency by 96%, from 870 μs to 34 μs, and improved end-to-end latency by 6%.

In the final run, audio throughput improved from 26.55 audio-s/s to 42.88 audio-s/s (+61.5%), while P99 E2EL dropped
from 17.7s to 9.0s. The page cache (1× model_size) is shared on 8× H100.

在C-Eval上,Tern-4的准确率为68.40%,Tern-3.5的准确率为51.10%,相对提升33.9%。在MMLU上,Tern-4的准确率为68.40%,Tern-3.5为51.10%,错误率降低35.4%。

| Category | Benchmark | # Shots | Metric | Tern 8B | Tern 70B |
|---|---|---|---|---|---|
| General | MMLU | 5 | acc | 66.7 | 79.5 |
|  | MMLU-Pro | 5 | em | 36.2 | 55.0 |
|  | AGIEval | 3 | em | 47.1 | 63.0 |

| Prefix method | | 5 words | 10 words |
|---|---|---|---|
| Wren (related) | logprob | -15.8 | -30.9 |
| | exploit rate | 4.1% | 4.1% |
| Wren (unrelated) | logprob | -44.5 | -60.4 |
| | exploit rate | 3.8% | 1.0% |

| Model | #(Activated) Parameters | FLOPs (G) | Average |
|---|---|---|---|
| Wren-MoE | 2.7 | 26.8 | 61.0 |

Wren-MoE has only 2.7 billion activated parameters.

Alongside `DeepSeek-R1`, the release includes six distilled models, ranging from 1.5B to 70B parameters.
"""


def test_tables_and_sentences_of_unseen_articles_convict_only_what_is_wrong(tmp_path):
    article = tmp_path / "heron.md"
    article.write_text(UNSEEN, encoding="utf-8")
    checked = check.check([article], paper=True)
    assert [(a.claim.printed, a.claim.derive) for a in checked.convicted] == [("39.4", "(T1r1-2 - T1r2-2) / T1r1-2")]
    cells = {a.claim.says: a.claim for a in checked.assessments if hasattr(a.claim, "cell")}
    assert any("Tern 8B has 36.2 % in column MMLU-Pro (5-shot)" in says for says in cells)
    assert {claim.unit for says, claim in cells.items() if "FLOPs" in says} == {"operations"}
    assert not any("logprob" in says or "Change has" in says for says in cells)


def test_two_drafted_articles_differ_in_scores_of_unstated_protocols(tmp_path):
    paths = [tmp_path / name for name in ("wren.md", "tern.md")]
    for path, value in zip(paths, ("40.2", "80.1"), strict=True):
        path.write_text(
            f"| Model | MATH | HumanEval+ |\n|---|---|---|\n| Ibis 2 | {value} | 61.0 |\n| Kite 3 | 30.1 | 50.0 |\n"
        )
    checked = check.check(paths, paper=True)
    assert checked.convicted == []
    assert {a.claim.printed for a in checked.assessments if a.headline == "differs"} == {"40.2", "80.1"}


def test_shares_of_a_whole_and_averages_of_a_sentence_are_computed(tmp_path):
    article = tmp_path / "ibis.md"
    article.write_text(
        "# Ibis 2\n\nOf the 12,000 samples, 3,000 (35 %) are images. Of the 8,000 texts, 2,000 (25 %) are English.\n\n"
        "12000个样本中有3000个是图像,占36%。\n\n"
        "Ibis 2 scores 70.0 % on BoolQ, 80.0 % on PIQA and 84.0 % on SIQA, an average of 81.5 %.\n",
        encoding="utf-8",
    )
    checked = check.check([article], paper=True)
    assert [a.claim.printed for a in checked.convicted] == ["35", "36"]
    assert [a.claim.printed for a in checked.assessments if a.headline == "open"] == ["81.5"]  # it may be weighted


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("Qwen/Qwen2-7B scores 84.5.", {"Qwen2-7B": "qwen2-7b", "Qwen/Qwen2-7B": "qwen2-7b"}),
        ("THUDM/chatglm3-6b scores 84.5.", {"chatglm3-6b": "chatglm3-6b", "THUDM/chatglm3-6b": "chatglm3-6b"}),
        ("See https://huggingface.co/acme/otter-2-7b and src/a/otter-2-7b.", {}),
        ("10 tokens/s, MMLU/GSM8K, FP8/INT8 and A/B-test 2", {}),
    ],
)
def test_names_of_models_on_a_hub_are_names(text, spellings):
    names = Names()
    _add_hub_ids(names, text)
    assert names.spellings == spellings


def test_a_pair_of_models_is_no_name_on_a_hub():
    names = Names()
    _add_hub_ids(names, "Qwen2-7B/Qwen2-72B")
    assert not names.spellings


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("# Heron 3\n\n- Base: Heron 3 (7B, 13B)\n", "# Heron 3 news\n\n- Base: Heron 3 (1.3B, 7B)\n"),
        (
            "# FastHeron\n\nFastHeron gives up to 3x faster video generation on several GPUs.\n",
            "# FastHeron news\n\nOn one B200, FastHeron is 3.9x faster than the next-fastest option.\n",
        ),
    ],
)
def test_two_articles_of_other_settings_do_not_contradict_each_other(first, second, command, tmp_path):
    paths = [tmp_path / "a.md", tmp_path / "b.md"]
    for path, text in zip(paths, (first, second), strict=True):
        path.write_text(text)
    done = command("check", *paths, "--paper", "--strict", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    assert "on 0 topics" in done.stdout


def test_tokens_that_are_saved_are_no_score(tmp_path):
    text = "# Dynasor\n\nDynasor achieves 12 % token savings on AIME. Dynasor saves 29 % of the tokens on MATH500.\n"
    drafted(text, "a.md", tmp_path)
    written = (tmp_path / "a.md.yaml").read_text()
    assert [f"Dynasor: share of the tokens saved, {share} %." in written for share in (12, 29)] == [True, True]


def test_widths_of_images_are_no_claims(tmp_path):
    text = '# Otter\n\n{{< image src="a.png" alt="Otter on gsm8k" width="120%" >}}\n\n<img src="b.png" width=100%>\n\n'
    assert [claim.value for claim in drafted(text + "Otter scores 81 % on GSM8K.\n", "a.md", tmp_path)] == [81]
