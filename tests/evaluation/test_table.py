"""Tables of accuracies in place of training."""

import gzip
import hashlib

import pytest

from nasengine.errors import ConfigError
from nasengine.evaluation.table import read_table
from search_spaces.nasbench201 import NASBENCH201

FIRST = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SECOND = "|skip_connect~0|+|none~0|none~1|+|none~0|none~1|nor_conv_3x3~2|"


def written(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_percentages_and_fractions_are_fractions(tmp_path, name):
    text = f"index,arch,share,a_test_200ep\n0,{FIRST},0.25,10.5\n1,{SECOND},0.5,93.25\n"
    path = written(tmp_path, text, name)
    percent = read_table(path, NASBENCH201)
    assert (percent.column, percent.accuracies) == ("a_test_200ep", {FIRST: 0.105, SECOND: 0.9325})
    assert percent.accuracy_of(SECOND) == 0.9325
    assert read_table(path, NASBENCH201, "share").accuracies == {FIRST: 0.25, SECOND: 0.5}
    assert percent.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_column_after_the_genotypes_is_usual(tmp_path):
    path = written(tmp_path, f"index,arch,first,second\n7,{FIRST},0.1,0.2\n")
    assert read_table(path, NASBENCH201).column == "first"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column arch"),
        ("arch\nx\n", "another with accuracies"),
        ("arch,a\n", "and 0 rows"),
        (f"arch,a\n{FIRST},x\n", "expected accuracies in a, got 'x'"),
        (f"arch,a\n{FIRST},nan\n", "expected accuracies in a, got 'nan'"),
        (f"arch,a\n{FIRST},101\n", "expected accuracies in a, got '101'"),
        (f"arch,a\n{FIRST}\n", "expected accuracies in a, got None"),
        ("arch,a\nconv-conv,1\n", "expected genotypes of nasbench201, got 'conv-conv'"),
    ],
    ids=["empty", "one column", "no rows", "text", "nan", "above 100", "short row", "another space"],
)
def test_what_is_no_table_of_the_space_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_table(written(tmp_path, text), NASBENCH201)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a CSV file, got No such file"):
        read_table(tmp_path / "nowhere.csv", NASBENCH201)
    (tmp_path / "torn.gz").write_bytes(gzip.compress(b"arch,a\n" * 100)[:20])
    with pytest.raises(ConfigError, match="expected CSV, gzipped or not"):
        read_table(tmp_path / "torn.gz", NASBENCH201)


def test_unknown_columns_and_genotypes_are_named(tmp_path):
    path = written(tmp_path, f"arch,a\n{FIRST},0.5\n")
    with pytest.raises(ConfigError, match="expected one of the columns arch, a, got 'b'"):
        read_table(path, NASBENCH201, "b")
    with pytest.raises(ConfigError, match="expected a row for .skip_connect"):
        read_table(path, NASBENCH201).accuracy_of(SECOND)
