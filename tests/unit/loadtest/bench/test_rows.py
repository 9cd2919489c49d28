from loadtest.bench.rows import AIMS, MEASURES, OF_KIND, QUICK, ROWS


def test_aims_name_rows_and_measures_that_exist() -> None:
    rows = {row.id: row for row in ROWS}
    assert {row.id for row in QUICK} <= set(rows)
    for aim in AIMS:
        assert aim.measure in OF_KIND[rows[aim.row].kind]
    assert set(MEASURES) == {name for names in OF_KIND.values() for name in names}
