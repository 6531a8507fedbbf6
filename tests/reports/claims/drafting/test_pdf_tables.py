"""Tables of a PDF, told by where their words stand on the page."""

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.pdf import blocks_of
from evals.reports.claims.drafting.readers.pdf_tables import page_tables, placed
from evals.reports.claims.drafting.readers.select import read

ROWS = [
    ("Otter 2", "40", "3.7", "78.1"),
    ("Tern 1 (large)", "70", "70", "-"),
    ("Heron", "3.8", "3.8", "58.5"),
]


def printed_pdf(*lines):
    """A PDF of one page; each line is (height, ((place, words), ...))."""
    escaped = str.maketrans({"(": r"\(", ")": r"\)"})
    text = "".join(
        f"BT /F1 10 Tf 1 0 0 1 {x} {y} Tm ({words.translate(escaped)}) Tj ET\n"
        for y, segments in lines
        for x, words in segments
    )
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}endstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    content, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n{len(content)}\n%%EOF"
    return f"{content}xref\n0 6\n0000000000 65535 f \n{table}{trailer}".encode()


def test_columns_with_names_of_several_words_are_read_where_they_stand():
    pytest.importorskip("pypdf")
    places = (50, 200, 300, 440)
    header = (("Model", "Params (B)", "Active Params (B)", "HumanEval (zero-shot)"),)
    lines = [(700, ((50, "Otter 2 is compared with two others."),))]
    lines += [(660 - 14 * n, tuple(zip(places, row, strict=True))) for n, row in enumerate((*header, *ROWS))]
    article = read(printed_pdf(*lines, (580, ((50, "Table 1: Scores on HumanEval."),))), "otter.pdf")
    (table,) = draft(article).tables
    assert [column["unit"] for column in table.columns] == ["parameters", "parameters", "percent"]
    assert [tuple(row["cells"]) for row in table.rows] == [row[1:] for row in ROWS]
    for row in table.rows:
        for cell, span in zip(row["cells"], row["spans"], strict=True):
            assert (article.source[slice(*span)] if span else "-") == cell


def laid(names, header, rows, shift=0):
    """Lay a table out as pypdf does, with columns of 12 characters after the names."""
    columns = [f"{name:<24}" for name in names]
    lines = [" " * 24 + "".join(f"{words:<16}" for words in line) for line in header]
    lines += [name + "".join(f"{cell:<16}" for cell in row) for name, row in zip(columns, rows, strict=True)]
    return "\n".join(" " * shift + line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize("shift", [0, 7])
@pytest.mark.parametrize(
    ("header", "names"),
    [
        ((("MMLU", "GSM8K", "MATH"),), ("MMLU", "GSM8K", "MATH")),
        (
            (("Params", "Active", "Score"), ("(B)", "Params", ""), ("", "(B)", "")),
            ("Params (B)", "Active Params (B)", "Score"),
        ),
        ((("English", "", "Chinese"), ("MMLU", "GSM8K", "CMMLU")), ("English MMLU", "GSM8K", "Chinese CMMLU")),
    ],
)
def test_lines_of_a_header_are_joined_by_their_columns(header, names, shift):
    rows = [("70.1", "60.5", "3.7"), ("65", "-", "70"), ("1,024", "78.1 (8 shots)", "58.5")]
    page = "Otter 2 is compared with two others on three benchmarks.\n\n" + laid(
        ("Otter 2", "Tern", "Heron"), header, rows, shift
    )
    (table,) = page_tables(page)
    assert table.header[1:] == names
    assert [row[1:] for row in table.rows] == rows
    found = placed(table, page, 100)
    assert found is not None
    for row, cells in zip(rows, found.block.rows[1:], strict=True):
        assert tuple(page[cell.starts[0] - 100 : cell.ends[-1] - 100] for cell in cells[1:]) == row


@pytest.mark.parametrize(
    "page",
    [
        "Otter 2 reaches 78.3 and Tern 70.1 on it.\nThey were trained in 2024.\nAll runs took 3\n",
        laid(("Otter", "Tern"), (), [("70.1", "60.5"), ("65", "61")]),
        laid(("Otter", "Tern"), (("MMLU", ""),), [("70.1", "60.5"), ("65", "61")]),
        laid(("Otter",), (("MMLU", "MATH"),), [("70.1", "60.5")]),
        "justified    words     stand    apart\nas       these     do      here\n",
    ],
    ids=["prose", "no header", "a column without a name", "one row", "justified words"],
)
def test_what_is_no_table_is_left_alone(page):
    assert page_tables(page) == []


def test_two_columns_of_text_are_read_one_after_the_other():
    table = laid(("Otter", "Tern"), (("MMLU", "MATH"),), [("70.1", "60.5"), ("65", "61")]).splitlines()
    left = [*table, *["words of the left column stand here, all the way down"] * 20]
    right = ["words of the other column stand here, beside the table"] * len(left)
    page = "\n".join(f"{a:<62}{b}" for a, b in zip(left, right, strict=True))
    assert [found.header[1:] for found in page_tables(page)] == [("MMLU", "MATH")]


IN_GROUPS = """\
It is compared with two others.
7Model Otter-2 Tern-7B Wren-13B
Architecture MoE Dense MoE
# Params 52B 7B 13B
Context 256K 128K 128K
Coding Tasks
MBPP 72.6 76.0 83.8
CRUX 57.0 - 70.1
{between}
MATH 69.8 62.1 72.3
CMATH 91.3 84.8 91.1
Table 2: Scores.
"""


@pytest.mark.parametrize(
    ("between", "tables"),
    [
        ("Math & STEM Tasks", 3),
        ("It is best at code, as the table says.\nMath is another matter.", 2),
        ("Top 3 Tasks", 2),
    ],
)
def test_rows_in_groups_keep_the_header_above_all(between, tables):
    blocks = [block for block in blocks_of(IN_GROUPS.format(between=between)) if block.kind == "table"]
    assert len(blocks) == tables
    for block in blocks:
        assert [cell.text for cell in block.rows[0]] == ["Model", "Otter-2", "Tern-7B", "Wren-13B"]
