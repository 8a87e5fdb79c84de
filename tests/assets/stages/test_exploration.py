"""What the cleaned tables look like is one click away."""

from pathlib import Path

from tests.support.few_days import FEW_DAYS, Home, failures


def test_every_cleaned_table_has_a_page_and_a_picture_in_the_materialisation(cleaned: Home, tmp_path: Path) -> None:
    own = cleaned.copy(tmp_path / "home")
    result = own.run("explore")
    assert result.success, failures(result)
    metadata = result.get_asset_materialization_events()[0].materialization.metadata
    folder = own.folder / "reports" / "flight_delays" / "exploration_report"
    for table in FEW_DAYS.tables:
        assert "data:image/png;base64," in metadata[table.name].value
        assert (folder / f"{table.name}.html").stat().st_size > 10_000
        assert metadata[f"{table.name}_evidently"].value == str(folder / f"{table.name}.html")
