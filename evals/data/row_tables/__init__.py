"""Tables of strangers: rows with named columns, from a file, a folder, an archive of images, or the hub.

    table = open_table(Path("questions.csv"))         any source, and the split of it that is asked for
    match_columns(FIELDS, table, "text=question")     which column is which field, chosen or guessed
    cells                                             values of rows as texts, answers, images and audio

It may import what `evals.data` imports. Start with `sources`. Parquet, Arrow and saved data sets are read through the
library `datasets`, memory-mapped. Texts (CSV, TSV, JSON) are read by readers of our own that keep in memory only where
each row begins: the library's guess types, so that 2 becomes 2.0, and a date or the answer "NA" something else.
"""

from __future__ import annotations

from evals.data.row_tables.columns import ColumnMatch, RowField, match_columns, written_columns
from evals.data.row_tables.sources import is_table, open_table
from evals.data.row_tables.table import DataTable

__all__ = ["ColumnMatch", "DataTable", "RowField", "is_table", "match_columns", "open_table", "written_columns"]
