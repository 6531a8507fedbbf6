"""Claims in the place of their document: quotes, spans, marks on the page, and what a hostile article may do."""

from __future__ import annotations

import gc
import json
import random
import re
import time
from html.parser import HTMLParser

import pytest
from commands import ROOT
from run_folders import Outline

import evals
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.language import files
from evals.reports.claims.language.sources.articles import Article, Block, plain
from evals.reports.claims.language.sources.placement import PlacedArticle, place
from evals.reports.claims.language.sources.quotes import QuoteIndex, normalised
from evals.reports.claims.output import page, tables
from evals.reports.claims.output.annotations import TONES, annotated
from evals.reports.claims.output.claim_review import claim_reviews
from evals.reports.claims.output.summary import five_lines

ARTICLE = """\
# Otter 2

Otter 2 scores **78.3 %** on SST-2, up from 72.1 %: a gain of 9.9 points.

```
pip install otter==2.0   # needs 8 GB
```

| Model   | SST-2 | CoLA | Average |
|---------|------:|-----:|--------:|
| Otter 1 | 72.1  | 40.1 | 56.1    |
| Otter 2 | 78.3  | 51.9 | 65.1    |
"""
CLAIMS = """\
document:
  id: card
  title: Otter 2
  source: card.md
  subjects: {otter-2: {name: Otter 2}, otter-1: {name: Otter 1}}
  quantities: {sst2-accuracy: {says: accuracy on SST-2, unit: percent}}
claims:
- {id: C-1, quote: "scores **78.3 %** on SST-2", line: 3, says: it is right on 78.3 %, subject: otter-2,
   quantity: sst2-accuracy, printed: "78.3", unit: percent}
- {id: C-2, quote: "up from 72.1 %", says: it was right on 72.1 %, subject: otter-1,
   quantity: sst2-accuracy, printed: "72.1", unit: percent}
- {id: C-3, quote: "a gain of 9.9 points", says: 9.9 points, subject: otter-2,
   printed: "9.9", unit: points, derive: C-1 - C-2}
- {id: C-4, quote: "needs 8 GB", says: 8 GB, subject: otter-2}
- {id: C-5, quote: "SST-2", says: it names SST-2 several times, subject: otter-2}
- id: T-1
  says: the table
  table:
    unit: percent
    columns: [{name: SST-2}, {name: CoLA}, {name: Average, mean_of: all}]
    rows:
    - {name: Otter 1, cells: ["72.1", "40.1", "56.1"]}
    - {name: Otter 2, cells: ["78.3", "51.9", "66.1"]}
"""


class Marked(HTMLParser):
    """For each mark of a page the text that is marked before it."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.last, self.inside = {}, "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "mark":
            self.last, self.inside = "", True
        if tag == "a" and str(values.get("id")).startswith("at-"):
            self.texts[values["id"].removeprefix("at-")] = self.last

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "mark"

    def handle_data(self, data):
        self.last += data if self.inside else ""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    (folder / "card.md").write_text(ARTICLE)
    (folder / "card.yaml").write_text(CLAIMS)
    return evals.check([folder / "card.yaml"], paper=True)


def test_quotes_are_found_as_a_regular_expression_finds_them():
    draw = random.Random(1)
    for _ in range(500):
        text = "".join(draw.choice("ab \n\u00a0’") for _ in range(draw.randint(0, 40)))
        quote = "".join(draw.choice("ab  '") for _ in range(draw.randint(1, 12))).strip() or "a"
        words = [r"\s+" if c == " " else "['’‘]" if c == "'" else c for c in normalised(quote)]
        pattern = re.compile("".join(words))
        every = [match.span() for start in range(len(text)) if (match := pattern.match(text, start))]
        low = draw.randint(0, len(text))
        high = draw.randint(low, len(text))
        index = QuoteIndex(plain(text), ["x", quote])
        assert index.find(quote) == every
        assert index.find(quote, (low, high)) == [span for span in every if low <= span[0] < high]


def test_a_quote_is_found_whose_beginning_stands_in_thousands_of_places():
    text = " ".join(f"number {n} of them." for n in range(3000))
    quotes = [f"number {n} of" for n in range(3000)]
    index = QuoteIndex(plain(text), quotes)
    assert [text[slice(*index.find(quote)[0])] for quote in quotes] == quotes
    assert all(len(index.find(quote)) == 1 for quote in quotes[::97])
    start = text.index("number 2500 of")
    assert index.find("number 2501 of", (start, len(text))) == [(start + 21, start + 35)]
    assert index.find("number 2501 of", (0, start)) == []


def test_claims_are_placed_by_quote_line_and_cell_and_the_rest_is_named(checked):
    placed = checked.articles["card"]
    shown = {id: ARTICLE[slice(*span)] for id, span in placed.places.items()}
    assert shown["C-1"] == "scores **78.3 %** on SST-2"
    assert (shown["C-2"], shown["C-4"], shown["T1r2-2"]) == ("up from 72.1 %", "needs 8 GB", "51.9")
    assert "66.1" not in shown.values()
    assert placed.unplaced["C-5"].startswith("its quote stands 2 times")
    assert placed.unplaced["T1r2-3"] == "no cell of the document's tables has its row, column and text"
    written = {claim["id"]: claim["span"] for claim in json.loads(tables.render(checked, "json"))["claims"]}
    assert written["C-2"] == list(placed.places["C-2"])
    assert written["C-5"] is None


def test_the_page_begins_with_title_and_counts_and_marks_each_claim(checked):
    html = page.render(checked)
    order = [html.index(part) for part in ("<h1>", 'class="counts"', 'class="about', 'class="source-document"')]
    assert order == sorted(order)
    texts = Marked(html).texts
    assert texts["C-1"] == "scores 78.3 % on SST-2", "a reader sees no asterisks"
    assert texts["T1r2-2"] == "51.9"
    assert texts["C-4"] == "needs 8 GB", "code is shown too"
    outline = Outline(html)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in outline.attributes if name == "href"} <= set(ids)
    assert "script" not in outline.tags
    note = html[html.index('id="note-C-3"') :].partition("</li>")[0]
    assert "internally inconsistent" in note
    assert 'href="#at-C-1"' in note, "a side of the conflict leads to the other"
    assert "6.2" in note
    assert 'href="#at-C-3"' in html[html.index('id="note-C-1"') :].partition("</li>")[0]


def test_drafted_claims_are_marked_where_they_stand(tmp_path):
    article = tmp_path / "post.md"
    article.write_text(ARTICLE.replace("9.9", "6.2"))
    (tmp_path / "same.html").write_text(
        "<h1>Otter 2</h1><p>It takes <b>0.8&nbsp;s</b>, 2&times; less than Otter 1.</p>"
    )
    checked = evals.check([article, tmp_path / "same.html"], paper=True)
    html = page.render(checked)
    ids = [value for _, name, value in Outline(html).attributes if name == "id"]
    assert len(ids) == len(set(ids)), "both documents have a C-1"
    assert Marked(html).texts["post.C-1"] == "78.3"
    assert Marked(html).texts["same.C-1"].startswith("0.8")
    assert all(a.claim.span == checked.place(a) for a in checked.assessments)


def test_a_place_that_the_article_no_longer_has_is_not_believed(tmp_path):
    (tmp_path / "card.md").write_text("Long ago. " + ARTICLE)
    moved = CLAIMS.replace('quote: "up from 72.1 %",', 'quote: "up from 72.1 %", span: [4, 9],')
    (tmp_path / "card.yaml").write_text(moved.replace("line: 3, ", ""))
    placed = evals.check([tmp_path / "card.yaml"], paper=True).articles["card"]
    assert placed.article.source[slice(*placed.places["C-2"])] == "up from 72.1 %"


def test_an_article_beside_its_claims_file_is_its_source_and_nothing_outside_is_read(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "card.md").write_text(ARTICLE)
    file = tmp_path / "claims" / "card.yaml"
    file.write_text(CLAIMS.replace("source: card.md", "source: ../card.md"))
    assert evals.check([file], paper=True).articles == {}
    assert "beside the claims file" in page.render(evals.check([file], paper=True))
    checked = evals.check([tmp_path / "card.md", file], paper=True)
    assert [*checked.articles] == ["card"]
    assert not checked.documents[0].document.drafted
    (tmp_path / "claims" / "card.md").write_bytes(b"\xff\xfe")
    file.write_text(CLAIMS.replace("source: card.md", "source: card.html"))
    (tmp_path / "claims" / "card.html").write_bytes(b"\xe9\xe8 3 GB")
    assert "not UTF-8" in page.render(evals.check([file], paper=True))


HOSTILE = """\
# <script>alert(1)</script> \u202eOtter 2 & "quotes"
<style>*{display:none}</style><img src=x onerror=alert(1)>

Otter 2 scores 78.3 %\u202e\u2066 on <b onclick="x">MMLU</b> {{ 7 * 7 }} </mark></div></body>, 40 ms.

```
</pre><script>alert(2)</script> javascript:alert(3)
```
| Model | <script>alert(4)</script> |
|---|---|
| Otter 2 | 78.3 <iframe src="//x"></iframe> |
"""


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_an_article_cannot_add_a_tag_an_attribute_or_a_hidden_character(tmp_path, suffix):
    path = tmp_path / f"post{suffix}"
    path.write_text(HOSTILE, encoding="utf-8")
    html = page.render(evals.check([path], paper=True))
    outline = Outline(html)
    assert not {"script", "iframe", "img", "b"} & set(outline.tags)
    assert outline.tags.count("style") == 1
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", html)
    assert Marked(html).texts
    void = {"meta"}
    opened = [tag for tag in outline.tags if not tag.startswith("/") and tag not in void]
    assert sorted(opened) == sorted(tag[1:] for tag in outline.tags if tag.startswith("/"))


def test_marks_are_those_of_the_worst_claim_at_each_character():
    draw = random.Random(2)
    for _ in range(200):
        text = "".join(draw.choice("ab c.") for _ in range(30)).strip() or "a"
        places, tones = {}, {}
        for number in range(draw.randint(0, 6)):
            start = draw.randrange(len(text))
            places[f"C-{number}"] = (start, draw.randint(start + 1, len(text)))
            tones[f"C-{number}"] = draw.choice(TONES)
        laid_out = annotated(PlacedArticle(Article(text, (Block("paragraph", plain(text)),)), places, {}), tones)
        parts = [part for block in laid_out.blocks for part in block.segments]
        assert "".join(part.text for part in parts) == text
        marks = [part.tone for part in parts for _ in part.text]
        for at, mark in enumerate(marks):
            covering = {tones[id] for id, (start, end) in places.items() if start <= at < end}
            assert mark == next((tone for tone in TONES if tone in covering), None)
        assert sorted(id for part in parts for id in part.ends) == sorted(places)


def test_the_header_of_a_document_is_shown_without_its_rules():
    source = "---\ntitle: Otter\n---\n\n# Otter\n\nIt scores 78.3 %.\n"
    blocks = annotated(PlacedArticle(read_markdown(source), {}, {}), {}).blocks
    shown = [(block.kind, "".join(segment.text for segment in block.segments)) for block in blocks]
    assert shown == [("code", "title: Otter"), ("heading", "Otter"), ("paragraph", "It scores 78.3 %.")]


def test_time_grows_with_the_claims_and_not_with_their_pairs():
    def seconds(count):
        text = "word 12.5 " * count
        places = {f"C-{n}": (n, len(text) - n) for n in range(count)}
        placed = PlacedArticle(Article(text, (Block("paragraph", plain(text)),)), places, {})
        gc.disable()  # a collection takes as long as all that the other tests of the process have left
        before = time.process_time()
        annotated(placed, dict.fromkeys(places, "open"))
        QuoteIndex(plain(text), ["word 12.5 word"] * count).find("word 12.5 word")
        took = time.process_time() - before
        gc.enable()
        return took

    seconds(1000)
    assert seconds(8000) < 30 * seconds(1000)


def test_every_bundled_claim_stands_in_its_article(shared_data):
    for path in files.default():
        document = files.load(path)
        article = shared_data.parent / "documents" / document.document.source
        if not article.is_file():
            pytest.skip(f"no {article}")
        placed = place(document, read(article.read_bytes(), article.name))
        assert placed.unplaced == {}
        laid_out = annotated(placed, dict.fromkeys(placed.places, "open"))
        assert {id for block in laid_out.blocks for id in block.ids} == set(placed.places), "each is marked"


def test_the_summary_has_five_lines_whatever_a_document_says(checked, tmp_path, monkeypatch, command):
    lines = five_lines(checked).splitlines()
    assert lines[0].startswith("Otter 2: 11 claims checked. On paper")
    assert lines[1].startswith("Refuted (2): C-3 “a gain of 9.9 points”")
    assert [re.search(r"\((\d+)\)", line)[1] for line in lines[1:]] == ["2", "0", "0", "9"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "post.md").write_text("# Otter\u2028 2 \x1b[31m\n\nOtter 2 answers in 40 ms.\n", encoding="utf-8")
    printed = command("check", "post.md", "--paper", "--format", "summary").stdout
    assert len(printed.splitlines()) == 5
    assert "\x1b" not in printed
    assert "give only one" in command("check", "--format", "summary", "--explain", "A-02").stderr


def test_claim_reviews_say_what_the_page_says(checked):
    reviews = json.loads(claim_reviews(checked))["@graph"]
    assert len(reviews) == len(checked.assessments)
    ids = {f"claims.html#{value}" for _, name, value in Outline(page.render(checked)).attributes if name == "id"}
    for review, assessment in zip(reviews, checked.assessments, strict=True):
        assert review["@type"] == "ClaimReview"
        assert review["url"] in ids
        rating = review["reviewRating"]
        assert rating["alternateName"].startswith(assessment.plain.replace("_", " "))
        assert rating.get("ratingValue") == {"refuted": 1, "supported": 5}.get(assessment.plain)
    assert "6.2" in next(r["reviewBody"] for r in reviews if "9.9" in r["claimReviewed"])


def test_a_measured_claim_cites_its_run_in_every_eval_ever(tmp_path):
    checked = evals.check([files.FOLDER / "b.yaml"], recorded=ROOT / "reports" / "baseline", out=tmp_path)
    reviews = json.loads((tmp_path / "claims.jsonld").read_text(encoding="utf-8"))["@graph"]
    cited = [entry for review in reviews for entry in review.get("citation", [])]
    assert cited
    for entry in cited:
        log = json.loads((tmp_path / entry["url"]).read_text(encoding="utf-8"))
        assert log["eval_library"]["additional_details"]["signature"] == entry["identifier"]
    measured = [a for a in checked.assessments if a.measured and a.required]  # B-86 is measured by trainings
    assert sum("citation" in review for review in reviews) == len(measured)
