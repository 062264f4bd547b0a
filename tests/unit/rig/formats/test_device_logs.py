"""Logs by others: columns with units become quantities, and what is wrong is refused with its row and column."""

from __future__ import annotations

import zipfile
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.errors import ConfigError
from rig.formats.device_log import read_device_log
from rig.formats.log_cells import read_cells
from rig.formats.log_columns import ColumnMap, LogColumn, LogFile, read_column_map
from rig.formats.log_units import factor, spelled

BALANCE = """
[columns.time_s]
column = "Time"
unit = "min"

[columns.mass_g]
column = "Weight"
unit = "mg"
"""


@pytest.fixture
def balance(tmp_path):
    path = tmp_path / "balance.toml"
    path.write_text(BALANCE)
    return read_column_map(path)


def read(tmp_path, text, columns, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_device_log(path, columns)


def refused(tmp_path, text, columns):
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text, columns)
    return str(error.value)


def test_numbers_are_turned_into_the_unit_of_the_name(tmp_path, balance):
    log = read(tmp_path, "Time,Weight\n0,1000\n0.5,1041.7\n", balance)
    assert log.values["time_s"] == pytest.approx([0, 30])
    assert log.values["mass_g"] == pytest.approx([1.0, 1.0417])
    assert log.rows.tolist() == [2, 3] and log.remarks == ()


@pytest.mark.parametrize("cell", ["1041.7 mg", "+  1041.7 mg", " 1041.7mg ", "1.0417e3", "+1041.7"])
def test_cells_may_bring_the_stated_unit(tmp_path, balance, cell):
    assert read(tmp_path, f"Time,Weight\n0,{cell}\n", balance).values["mass_g"] == pytest.approx([1.0417])


def test_a_cell_in_another_unit_is_refused_with_row_and_column(tmp_path, balance):
    said = refused(tmp_path, "Time,Weight\n0,1000 mg\n\n1,1.05 g\n2,1.1 g\n", balance)
    assert "log.csv: row 4, column 'Weight': '1.05 g' is in 'g', the column map says mg (and 1 more cells)" in said


def test_a_header_that_names_another_unit_is_refused(tmp_path):
    columns = ColumnMap(columns={"mass_g": LogColumn(column="Weight (g)", unit="mg")})
    assert "the header says 'Weight (g)', the column map says mg" in refused(tmp_path, "Weight (g)\n1\n", columns)
    same = ColumnMap(columns={"x_um": LogColumn(column="x [µm]", unit="um")})
    assert read(tmp_path, "x [µm]\n5\n", same).values["x_um"] == pytest.approx([5.0])


@pytest.mark.parametrize("cell", ["12.3.4", "1,234.5", "abc", "12 345", "--5", "0x10", "1e999", "True", "1/2"])
def test_what_is_no_number_is_refused(tmp_path, cell):
    columns = ColumnMap(columns={"count": LogColumn(column="a")})
    assert "row 3, column 'a'" in refused(tmp_path, f'a;b\n1;2\n"{cell}";2\n', columns)


def test_missing_readings_are_missing_and_counted(tmp_path, balance):
    log = read(tmp_path, "Time,Weight\n0,1\n1,\n2,---\n3,4\n", balance)
    assert np.isnan(log.values["mass_g"]).tolist() == [False, True, True, False]
    assert log.remarks == ("2 of 4 readings of mass_g are missing",)


def test_a_missing_time_or_a_missing_required_reading_is_refused(tmp_path, balance):
    assert "row 3, column 'Time': is empty" in refused(tmp_path, "Time,Weight\n0,1\n,2\n", balance)
    must = ColumnMap(columns={"mass_g": LogColumn(column="Weight", unit="g", required=True)})
    assert "row 2, column 'Weight': is empty" in refused(tmp_path, "Time,Weight\n0,\n", must)


def test_a_hole_of_38_minutes_is_a_gap_with_its_row(tmp_path, balance):
    minutes = [m for m in range(120) if not 60 < m < 98]
    log = read(tmp_path, "Time,Weight\n" + "".join(f"{m},{m}\n" for m in minutes), balance)
    (gap,) = log.gaps
    assert (gap.start_s, gap.end_s, gap.row) == (3600.0, 5880.0, 63)
    assert "38.0 min" in log.remarks[0]


def test_a_time_that_goes_back_is_refused(tmp_path, balance):
    assert "row 4, column 'Time': the time goes back by 60 s" in refused(
        tmp_path, "Time,Weight\n1,1\n2,2\n1,3\n", balance
    )


def test_decimal_commas_and_semicolons(tmp_path):
    columns = ColumnMap(file=LogFile(decimal=","), columns={"x_mm": LogColumn(column="X", unit="mm")})
    assert read(tmp_path, "X;Y\n1,25;2\n-0,5 mm;3\n", columns).values["x_mm"] == pytest.approx([1.25, -0.5])


def test_columns_by_number_in_a_file_without_header(tmp_path):
    columns = ColumnMap(file=LogFile(header_row=0), columns={"x_mm": LogColumn(number=2, unit="m")})
    log = read(tmp_path, "P1\t0.1\nP2\t0.2\n", columns)
    assert log.values["x_mm"] == pytest.approx([100.0, 200.0]) and log.rows.tolist() == [1, 2]
    wide = ColumnMap(file=LogFile(header_row=0), columns={"x_mm": LogColumn(number=3, unit="m")})
    assert "column 3 is wanted, the file has 2" in refused(tmp_path, "P1\t0.1\n", wide)


def test_words_stay_words_and_lines_above_the_header_are_passed_over(tmp_path):
    columns = ColumnMap(
        file=LogFile(header_row=3),
        columns={"point": LogColumn(column="Name", unit="text"), "x_mm": LogColumn(column="X", unit="mm")},
    )
    log = read(tmp_path, "Tracker AT960\nSerial 17\nName,X\nP1,1\nP2,2\n", columns)
    assert log.words["point"] == ("P1", "P2") and log.rows.tolist() == [4, 5]


def test_an_unknown_column_is_answered_with_the_nearest(tmp_path, balance):
    assert "no column is named 'Weight'; did you mean 'Weigth'?" in refused(tmp_path, "Time,Weigth\n0,1\n", balance)
    assert "2 columns are named 'Weight'" in refused(tmp_path, "Time,Weight,Weight\n0,1,2\n", balance)


def test_a_row_with_too_many_or_too_few_cells_is_refused_with_its_row(tmp_path, balance):
    assert "row 3 has 3 cells, the header has 2" in refused(tmp_path, "Time,Weight\n0,1\n1,2,3\n2,3\n", balance)
    assert "row 4 has 1 cells" in refused(tmp_path, "Time,Weight\n0,1\n\n1\n", balance)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "row 1 is empty"),
        (b"Time,Weight\n", "no readings"),
        (b"Time,Weight\n\n\n", "no readings"),
        (b"\xff\xfe\x00", "cannot be read as utf-8"),
        (b'Time,Weight\n0,"1\n2"\n', "line break"),
    ],
)
def test_files_that_are_no_logs(tmp_path, balance, text, words):
    assert words in refused(tmp_path, text, balance)


def test_a_file_that_is_not_there(tmp_path, balance):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_device_log(tmp_path / "none.csv", balance)


def test_clocks_become_seconds_since_the_first_reading(tmp_path):
    iso = ColumnMap(columns={"time_s": LogColumn(column="t", unit="clock")})
    log = read(tmp_path, "t,b\n2026-02-28 23:59:59.5,1\n2026-03-01T00:00:01.25,2\n", iso)
    assert log.values["time_s"] == pytest.approx([0.0, 1.75])
    german = ColumnMap(columns={"time_s": LogColumn(column="t", unit="clock", format="%d.%m.%Y %H:%M:%S")})
    assert read(tmp_path, "t,b\n01.03.2026 10:00:00,1\n01.03.2026 10:01:00,2\n", german).values[
        "time_s"
    ] == pytest.approx([0.0, 60.0])
    assert "row 3, column 't': '10:01' is no time" in refused(tmp_path, "t,b\n01.03.2026 10:00:00,1\n10:01,2\n", german)
    assert "no time as '2026" in refused(tmp_path, "t,b\n2026-02-30,1\n", iso)


def test_a_time_of_day_goes_on_past_midnight(tmp_path):
    columns = ColumnMap(columns={"time_s": LogColumn(column="t", unit="clock", format="%H:%M:%S")})
    log = read(tmp_path, "t,b\n23:59:00,1\n00:00:00,2\n00:01:00,3\n", columns)
    assert log.values["time_s"] == pytest.approx([0.0, 60.0, 120.0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[columns.mass_g]\ncolumn = "W"\nunit = "mm"\n', "mass_g can be given in kg, g, mg, ug"),
        ('[columns.mass]\ncolumn = "W"\nunit = "g"\n', "does not end with a unit"),
        ('[columns.mass_g]\ncolum = "W"\nunit = "g"\n', "colum"),
        ('[columns.mass_g]\ncolumn = "W"\nunit = "clock"\n', "only time_s can be a clock"),
        ('[columns.mass_g]\ncolumn = "W"\nunit = "g"\nformat = "%H"\n', "only a clock has a format"),
        ('[file]\ndecimal = "x"\n[columns.mass_g]\ncolumn = "W"\nunit = "g"\n', "decimal"),
        ('[columns.mass_g]\nunit = "g"\n', "its name in the header, or its number"),
        ('[columns.mass_g]\nunit = "g"\ncolumn = "W"\nnumber = 2\n', "its name in the header, or its number"),
        ("[columns]\n", "columns"),
    ],
)
def test_column_maps_are_strict(tmp_path, text, words):
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_column_map(path)
    assert words in str(error.value) and "map.toml" in str(error.value)


@pytest.mark.parametrize(
    ("quantity", "unit", "scale"),
    [
        ("x_mm", "in", 25.4), ("x_um", "mm", 1000.0), ("p_kpa", "mmHg", 0.1333224), ("p_kpa", "psi", 6.894757),
        ("q_ml_h", "mL/min", 60.0), ("q_ml_min", "mL/h", 1 / 60), ("f_n", "kgf", 9.80665), ("t_s", "h", 3600.0),
        ("v_ul", "mL", 1000.0), ("a_deg", "rad", 180 / np.pi), ("f_mn", "N", 1000.0), ("p_kpa", "mPa", None),
    ],
)  # fmt: skip
def test_units(quantity, unit, scale):
    found = factor(quantity, spelled(unit))
    assert found is None if scale is None else found == pytest.approx(scale)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_every_number_comes_back_to_the_last_digit(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_text("a,b\n" + "".join(f"{n!r},{n!r} mm\n" for n in numbers))
    columns = ColumnMap(columns={"a": LogColumn(column="a"), "b_mm": LogColumn(column="b", unit="mm")})
    log = read_device_log(path, columns)
    assert log.values["a"].tolist() == numbers and log.values["b_mm"].tolist() == numbers


def test_a_day_of_readings_every_second_is_read_whole(tmp_path, balance):
    lines = "".join(f"{k / 60!r},{1000 + k / 1000:.1f} mg\n" for k in range(86_400))
    path = tmp_path / "day.csv"
    path.write_text("Time,Weight\n" + lines)
    log = read_device_log(path, balance)
    assert len(log.rows) == 86_400 and log.gaps == ()


def spreadsheet(path, rows):
    """A minimal workbook: numbers as numbers, everything else as text."""

    def cell(value):
        if isinstance(value, int | float):
            return f"<c><v>{value!r}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'

    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = 'xmlns="http://schemas.openxmlformats.org/package/2006'
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types {package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-'
            f'package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships {package}/relationships"><Relationship Id="a" Type="{links}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook {main} xmlns:r="{links}"><sheets><sheet name="Log" sheetId="1" r:id="b"/></sheets></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships {package}/relationships"><Relationship Id="b" Type="{links}/worksheet" '
            'Target="worksheets/sheet1.xml"/></Relationships>',
        )
        file.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}><sheetData>{body}</sheetData></worksheet>")
    return path


class TestSpreadsheet:
    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("python_calamine")

    def test_numbers_and_text_cells_with_units(self, tmp_path, balance):
        path = spreadsheet(tmp_path / "log.xlsx", [("Time", "Weight"), (0, 1000.5), (0.5, "1041.7 mg"), (1, "")])
        log = read_device_log(path, balance)
        assert log.values["time_s"] == pytest.approx([0, 30, 60])
        assert log.values["mass_g"][:2] == pytest.approx([1.0005, 1.0417]) and np.isnan(log.values["mass_g"][2])

    def test_a_wrong_unit_is_refused_with_its_row(self, tmp_path, balance):
        path = spreadsheet(tmp_path / "log.xlsx", [("Time", "Weight"), (0, 1000.5), (0.5, "1.04 g")])
        with pytest.raises(ConfigError, match=r"row 3, column 'Weight': '1.04 g' is in 'g'"):
            read_device_log(path, balance)

    def test_decimal_commas_in_text_cells_beside_numbers(self, tmp_path):
        columns = ColumnMap(file=LogFile(decimal=","), columns={"x_mm": LogColumn(column="X", unit="mm")})
        path = spreadsheet(tmp_path / "log.xlsx", [("X",), (1.25,), ("1,5 mm",)])
        assert read_device_log(path, columns).values["x_mm"] == pytest.approx([1.25, 1.5])

    def test_a_sheet_that_is_not_there_and_a_file_that_is_no_spreadsheet(self, tmp_path):
        path = spreadsheet(tmp_path / "log.xlsx", [("X",), (1,)])
        with pytest.raises(ConfigError, match="no sheet is named 'Data'; there are Log"):
            read_cells(path, LogFile(sheet="Data"))
        (tmp_path / "bad.xlsx").write_text("no zip")
        with pytest.raises(ConfigError, match="cannot be read as a spreadsheet"):
            read_cells(tmp_path / "bad.xlsx", LogFile())

    def test_a_day_of_readings_is_read_whole(self, tmp_path, balance):
        rows = [("Time", "Weight"), *((k / 60, 1000 + k / 1000) for k in range(86_400))]
        path = spreadsheet(tmp_path / "day.xlsx", rows)
        log = read_device_log(path, balance)
        assert len(log.rows) == 86_400
