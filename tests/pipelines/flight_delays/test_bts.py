"""Monthly BTS files: what lands of them is what the feed of the same flights lands, byte for byte."""

import gzip
import io
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from assets.contracts import PARTITION_KEY
from assets.logic.intake import quarantine, typed
from assets.partitions import Partitions
from pipelines.flight_delays.bts import as_landed, deliver_months
from pipelines.flight_delays.bts_columns import BtsError
from pipelines.flight_delays.bts_file import read_month
from pipelines.flight_delays.landed import Published
from pipelines.flight_delays.rules import ORIGINS
from pipelines.flight_delays.source import AIRPORTS, FLIGHT_COLUMNS, FLIGHTS
from resources.objects import ObjectStore
from tests.support.bts_files import CURRENT, Naming, Row, bts_rows, csv_text, header_of, write_month, write_zip

AUGUST = [f"2013-08-{day:02}" for day in (1, 2, 31)]
NAMINGS: tuple[Naming, ...] = ("current", "older", "selected")
YEAR = Partitions(start=date(2013, 1, 1), end=date(2013, 12, 31), timezone="America/New_York")
ZONES = dict.fromkeys(ORIGINS, "America/New_York")
FLIGHT: Row = {
    "Year": "2013", "Month": "8", "DayofMonth": "2", "FlightDate": "2013-08-02", "IATA_CODE_Reporting_Airline": "UA",
    "Tail_Number": "N1", "Flight_Number_Reporting_Airline": "7", "Origin": "EWR", "Dest": "ORD", "CRSDepTime": "0515",
    "DepTime": "0512", "DepDelay": "-3.00", "CRSArrTime": "0700", "ArrTime": "0710", "ArrDelay": "10.00",
    "Cancelled": "0.00", "Diverted": "0.00", "AirTime": "110.00", "Distance": "719.00",
}  # fmt: skip
NO_ARRIVAL = {"ArrTime": "", "ArrDelay": "", "AirTime": ""}


def landed_text(landing: ObjectStore, day: str) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(gzip.decompress(landing.read(f"flights/flights_{day}.csv.gz"))), infer_schema=False)


def rows_of(landing: ObjectStore, *days: str) -> list[Row]:
    return bts_rows(pl.concat([landed_text(landing, day) for day in days]))


@pytest.fixture
def landing(tmp_path: Path, landing_2013: ObjectStore) -> ObjectStore:
    """A landing zone with the airports and nothing else."""
    landing = ObjectStore(str(tmp_path / "landing"))
    landing.write("airports/airports.csv", landing_2013.read("airports/airports.csv"))
    return landing


def months(landing: ObjectStore) -> Path:
    return Path(landing.root, "bts")


def deliver(landing: ObjectStore, partitions: Partitions = YEAR) -> Published:
    return deliver_months(landing, [].append, partitions)


def one(tmp_path: Path, **changes: str) -> dict[str, str]:
    """What lands of one flight."""
    path = write_month(tmp_path, [FLIGHT | changes])
    return as_landed(read_month(path, ORIGINS), ZONES).row(0, named=True)


def reason(landed: dict[str, str], day: str) -> str | None:
    """Why the line's rules set a landed row aside, in the file of that day; None if they do not."""
    frame = typed(pl.DataFrame(landed).select(FLIGHT_COLUMNS.keys()).with_columns(
        pl.all().replace("NA", None)).lazy(), FLIGHT_COLUMNS, where="here")  # fmt: skip
    rejected = quarantine(frame.with_columns(pl.lit(day).alias(PARTITION_KEY)), FLIGHTS.rules, FLIGHTS.key).rejected
    return None if rejected.is_empty() else str(rejected["reason"].item())


def test_the_published_column_list_has_109_names() -> None:
    assert len(CURRENT) == len(set(CURRENT)) == 109


@pytest.mark.parametrize("naming", NAMINGS)
def test_a_month_lands_as_the_feed_lands_the_same_flights(
    naming: Naming, landing: ObjectStore, landing_2013: ObjectStore
) -> None:
    write_month(months(landing), rows_of(landing_2013, *AUGUST), naming)
    published = deliver(landing)
    paths = [f"flights/flights_{day}.csv.gz" for day in AUGUST]
    assert sorted(published.written) == paths
    assert {path: landing.read(path) for path in paths} == {path: landing_2013.read(path) for path in paths}


def test_a_whole_month_of_every_kind_of_day_survives_the_round_trip(
    landing: ObjectStore, landing_2013: ObjectStore
) -> None:
    days = [str(day) for day in pl.date_range(date(2013, 3, 1), date(2013, 3, 31), eager=True)]
    write_month(months(landing), rows_of(landing_2013, *days), month=3)
    deliver(landing)
    assert all(landed_text(landing, day).equals(landed_text(landing_2013, day)) for day in days)


def test_cleaned_rows_are_those_of_the_feed(
    landing: ObjectStore, landing_2013: ObjectStore, cleaned_2013: dict[str, pl.DataFrame]
) -> None:
    write_month(months(landing), rows_of(landing_2013, "2013-02-09"), month=2)
    deliver(landing)
    arrival = FLIGHTS.source.arrivals(landing)["2013-02-09"]
    frame = typed(FLIGHTS.source.read(landing, arrival).frame, FLIGHT_COLUMNS, where=arrival.uri)
    valid = quarantine(frame.with_columns(pl.lit("2013-02-09").alias(PARTITION_KEY)), FLIGHTS.rules, FLIGHTS.key).valid
    cleaned = FLIGHTS.clean(valid.lazy(), {AIRPORTS.name: cleaned_2013["airports"].lazy()}).collect()
    expected = cleaned_2013["flights"].filter(pl.col(PARTITION_KEY) == "2013-02-09")
    assert cleaned.height > 100
    assert cleaned.equals(expected)


def test_days_that_are_there_already_are_not_written_again(landing: ObjectStore, landing_2013: ObjectStore) -> None:
    path = "flights/flights_2013-08-01.csv.gz"
    landing.write(path, landing_2013.read(path))
    write_month(months(landing), rows_of(landing_2013, *AUGUST[:2]))
    assert deliver(landing) == Published(written=("flights/flights_2013-08-02.csv.gz",), unchanged=(path,))


def test_a_month_that_was_delivered_is_not_read_again(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    deliver(landing)
    landing.write("flights/flights_2013-08-02.csv.gz", b"changed by hand")
    assert deliver(landing) == Published(written=(), unchanged=())


def test_a_month_that_is_issued_again_replaces_its_days(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    deliver(landing)
    write_month(months(landing), [FLIGHT | {"ArrDelay": "99.00"}])
    assert deliver(landing).written == ("flights/flights_2013-08-02.csv.gz",)
    assert landed_text(landing, "2013-08-02")["arr_delay"].item() == "99"


def test_two_files_of_one_month_are_refused_by_name(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    write_month(months(landing), [FLIGHT], "older")
    with pytest.raises(BtsError, match=r"On_Time_Reporting.* and .*On_Time_On_Time.* both hold flights of 2013-08"):
        deliver(landing)


def test_a_file_that_took_the_place_of_another_is_taken(landing: ObjectStore) -> None:
    first = write_month(months(landing), [FLIGHT])
    deliver(landing)
    first.unlink()
    write_month(months(landing), [FLIGHT | {"DepDelay": "5.00"}], "older")
    assert deliver(landing).written == ("flights/flights_2013-08-02.csv.gz",)


def test_a_month_outside_the_declared_partitions_is_refused_before_anything_is_written(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    later = Partitions(start=date(2018, 1, 1))
    with pytest.raises(BtsError, match=r"declared for 2018-01-01 to today; change `partitions`"):
        deliver(landing, later)
    assert not landing.list("flights/")


def test_a_bad_month_leaves_the_days_that_are_there(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    deliver(landing)
    before = landing.read("flights/flights_2013-08-02.csv.gz")
    write_month(months(landing), [FLIGHT | {"DepTime": "6", "DepDelay": "soon"}])
    with pytest.raises(BtsError, match="soon"):
        deliver(landing)
    assert landing.read("flights/flights_2013-08-02.csv.gz") == before


def test_without_airports_the_remedy_is_named(tmp_path: Path) -> None:
    landing = ObjectStore(str(tmp_path / "landing"))
    write_month(months(landing), [FLIGHT])
    with pytest.raises(BtsError, match=r"airports/airports\.csv has not landed"):
        deliver(landing)


def test_an_origin_without_a_time_zone_is_named(landing: ObjectStore) -> None:
    write_month(months(landing), [FLIGHT])
    landing.write("airports/airports.csv", b"faa,tzone\nEWR,America/New_York\nJFK,America/New_York\nLGA,NA\n")
    with pytest.raises(BtsError, match="no time zone for LGA"):
        deliver(landing)


def test_clock_times_lose_their_zero_and_numbers_their_decimals(tmp_path: Path) -> None:
    landed = one(tmp_path)
    assert (landed["sched_dep_time"], landed["dep_delay"], landed["air_time"]) == ("515", "-3", "110")
    assert (landed["hour"], landed["minute"], landed["time_hour"]) == ("5", "15", "2013-08-02T09:00:00Z")


def test_nothing_in_a_cell_is_a_missing_value(tmp_path: Path) -> None:
    assert one(tmp_path, Tail_Number="")["tailnum"] == "NA"


@pytest.mark.parametrize("empty", ['""', '"  "', ""])
def test_empty_text_is_missing_however_it_is_written(empty: str, tmp_path: Path) -> None:
    text = csv_text([FLIGHT], {name: name for name in FLIGHT}).replace('"N1"', empty)
    assert read_month(write_zip(tmp_path / "a.zip", text), ORIGINS)["tailnum"].to_list() == [None]


def test_an_actual_departure_at_2400_stays_so(tmp_path: Path) -> None:
    landed = one(tmp_path, CRSDepTime="2350", DepTime="2400", DepDelay="10.00")
    assert landed["dep_time"] == "2400"
    assert reason(landed, "2013-08-02") is None


def test_a_departure_scheduled_at_2400_is_set_aside_by_name(tmp_path: Path) -> None:
    landed = one(tmp_path, CRSDepTime="2400")
    assert landed["day"] == "2"
    assert reason(landed, "2013-08-02") == "day_is_not_that_of_the_file"


def test_a_cancelled_flight_has_no_departure_and_no_label(tmp_path: Path) -> None:
    landed = one(tmp_path, DepTime="", DepDelay="", Cancelled="1.00", **NO_ARRIVAL)
    assert {landed[name] for name in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")} == {"NA"}


def test_a_flight_that_came_back_to_its_gate_keeps_its_departure_and_has_no_label(tmp_path: Path) -> None:
    landed = one(tmp_path, Cancelled="1.00")
    assert landed["dep_time"] == "512"
    assert {landed[name] for name in ("arr_time", "arr_delay", "air_time")} == {"NA"}


def test_a_diverted_flight_has_a_departure_and_no_label(tmp_path: Path) -> None:
    landed = one(tmp_path, Diverted="1.00")
    assert (landed["dep_time"], landed["arr_time"], landed["arr_delay"]) == ("512", "710", "NA")


def test_a_flight_of_which_nothing_is_said_about_cancelling_keeps_its_label(tmp_path: Path) -> None:
    assert one(tmp_path, Cancelled="", Diverted="")["arr_delay"] == "10"


def test_an_overnight_flight_lands_on_its_service_date(tmp_path: Path) -> None:
    landed = one(tmp_path, CRSDepTime="2355", DepTime="0030", DepDelay="35.00", CRSArrTime="0130", ArrTime="0210")
    assert (landed["day"], landed["time_hour"]) == ("2", "2013-08-03T03:00:00Z")
    assert reason(landed, "2013-08-02") is None


def test_an_hour_that_the_clock_skips_has_no_instant(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "march.zip", csv_text([
        FLIGHT | {"Month": "3", "DayofMonth": "10", "CRSDepTime": "0215"}], {n: n for n in FLIGHT}))  # fmt: skip
    assert as_landed(read_month(path, ORIGINS), ZONES)["time_hour"].item() == "NA"


def test_each_origin_has_its_own_zone(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT, FLIGHT | {"Origin": "LAX"}])
    landed = as_landed(read_month(path, ("EWR", "LAX")), {**ZONES, "LAX": "America/Los_Angeles"}, ("EWR", "LAX"))
    assert dict(landed.select("origin", "time_hour").iter_rows()) == {
        "EWR": "2013-08-02T09:00:00Z",
        "LAX": "2013-08-02T12:00:00Z",
    }


def test_only_the_wanted_origins_are_kept(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT, FLIGHT | {"Origin": "BOS"}, FLIGHT | {"Origin": "LGA"}])
    assert read_month(path, ORIGINS)["origin"].to_list() == ["EWR", "LGA"]


def test_a_file_without_the_wanted_origins_is_refused(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT | {"Origin": "BOS"}])
    with pytest.raises(BtsError, match="no flight from EWR, JFK, LGA"):
        read_month(path, ORIGINS)


def test_every_missing_column_is_listed_in_one_error_with_its_names(tmp_path: Path) -> None:
    names = {n: n for n in FLIGHT if n not in {"IATA_CODE_Reporting_Airline", "ArrDelay"}}
    path = write_zip(tmp_path / "a.zip", csv_text([FLIGHT], names))
    carrier = r"carrier \(IATA_CODE_Reporting_Airline or Carrier or OP_CARRIER\)"
    with pytest.raises(BtsError, match=rf"lacks 2 .*{carrier}; arr_delay \(ArrDelay or ARR_DELAY\)"):
        read_month(path, ORIGINS)


def test_the_other_table_of_bts_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    marketing = {"Marketing_Airline_Network": "", "Operating_Airline": "", "Flight_Number_Operating_Airline": ""}
    names = {n: n for n in FLIGHT if "Reporting_Airline" not in n} | marketing
    with pytest.raises(BtsError, match=r"lacks 2 .*carrier .*flight .*Get the Reporting Carrier table"):
        read_month(write_zip(tmp_path / "a.zip", csv_text([FLIGHT], names)), ORIGINS)


def test_a_file_with_neither_form_of_the_date_says_both(tmp_path: Path) -> None:
    names = {n: n for n in FLIGHT if n not in {"FlightDate", "DayofMonth"}}
    with pytest.raises(BtsError, match=r"lacks 1 .*FlightDate or FL_DATE.*Year, Month, DayofMonth"):
        read_month(write_zip(tmp_path / "a.zip", csv_text([FLIGHT], names)), ORIGINS)


@pytest.mark.parametrize("written", ["2013-08-02", "8/2/2013 12:00:00 AM", "8/2/2013"])
def test_the_date_of_a_selected_download_is_understood(written: str, tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT | {"FlightDate": written}], "selected")
    assert read_month(path, ORIGINS)["date"].to_list() == [date(2013, 8, 2)]


def test_a_date_that_is_none_is_shown(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT | {"Month": "2", "DayofMonth": "30"}])
    with pytest.raises(BtsError, match=r"1 rows have a date that is none, such as .*'day': '30'"):
        read_month(path, ORIGINS)


def test_the_empty_column_behind_the_last_comma_is_dropped(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT])
    assert len(header_of(path)) == 110
    assert read_month(path, ORIGINS).height == 1


def test_a_column_without_a_name_that_holds_values_is_refused_wherever_they_stand(tmp_path: Path) -> None:
    text = csv_text([FLIGHT, FLIGHT | {"Origin": "BOS"}], {n: n for n in FLIGHT})
    path = write_zip(tmp_path / "a.zip", text[:-1] + "7\n")
    with pytest.raises(BtsError, match=r"column without a name .* in 1 rows: their columns are shifted"):
        read_month(path, ORIGINS)


def test_rows_with_more_cells_than_names_are_refused(tmp_path: Path) -> None:
    text = csv_text([FLIGHT], {n: n for n in FLIGHT})
    with pytest.raises(BtsError, match="no readable CSV"):
        read_month(write_zip(tmp_path / "a.zip", text[:-1] + ",,,\n"), ORIGINS)


@pytest.mark.parametrize("bad", ["soon", "227.50", "inf"])
def test_a_value_that_is_no_whole_number_is_shown(bad: str, tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT | {"AirTime": bad}])
    with pytest.raises(BtsError, match=f"1 values of air_time are not whole numbers, such as '{bad}'"):
        read_month(path, ORIGINS)


def test_a_flight_that_stands_twice_is_shown(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT, FLIGHT | {"ArrDelay": "11.00"}])
    with pytest.raises(BtsError, match=r"2 rows are not the only ones .*'carrier': 'UA', 'flight': '7'"):
        read_month(path, ORIGINS)


def test_a_flight_number_may_serve_two_destinations_on_a_day(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT, FLIGHT | {"Dest": "BOS"}])
    assert read_month(path, ORIGINS).height == 2


def test_a_name_that_says_another_month_is_refused(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT], month=9)
    with pytest.raises(BtsError, match=r"holds flights of 2013-08, not of 2013-09 as its name says"):
        read_month(path, ORIGINS)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.zip"
    path.write_text("<html>try again later</html>")
    with pytest.raises(BtsError, match=r"page\.zip is no whole zip file"):
        read_month(path, ORIGINS)


def test_a_truncated_download_is_refused(tmp_path: Path) -> None:
    path = write_month(tmp_path, [FLIGHT])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BtsError, match="no whole zip file"):
        read_month(path, ORIGINS)


def test_a_zip_with_other_contents_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.html", "")
    with pytest.raises(BtsError, match="holds 0 CSV files, not one"):
        read_month(path, ORIGINS)


def test_a_byte_order_mark_and_latin_1_names_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + csv_text([FLIGHT], {**{n: n for n in FLIGHT}, "OriginCityName": "OriginCityName"})
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", text.encode().replace(b"719.00,,", b'719.00,"Canc\xfan",'))
    assert read_month(path, ORIGINS).height == 1
