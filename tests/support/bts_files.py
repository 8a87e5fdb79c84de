"""Monthly BTS files made of landed flights, in the three ways in which one can get them."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

Naming = Literal["current", "older", "selected"]
Row = dict[str, str]

_PLACE = ("AirportID", "AirportSeqID", "CityMarketID", "", "CityName", "State", "StateFips", "StateName", "Wac")
_DIVERSION = ("Airport", "AirportID", "AirportSeqID", "WheelsOn", "TotalGTime", "LongestGTime", "WheelsOff", "TailNum")
CURRENT: tuple[str, ...] = (
    *("Year", "Quarter", "Month", "DayofMonth", "DayOfWeek", "FlightDate"),
    *("Reporting_Airline", "DOT_ID_Reporting_Airline", "IATA_CODE_Reporting_Airline", "Tail_Number"),
    "Flight_Number_Reporting_Airline",
    *(f"{end}{part}" for end in ("Origin", "Dest") for part in _PLACE),
    *("CRSDepTime", "DepTime", "DepDelay", "DepDelayMinutes", "DepDel15", "DepartureDelayGroups", "DepTimeBlk"),
    *("TaxiOut", "WheelsOff", "WheelsOn", "TaxiIn"),
    *("CRSArrTime", "ArrTime", "ArrDelay", "ArrDelayMinutes", "ArrDel15", "ArrivalDelayGroups", "ArrTimeBlk"),
    *("Cancelled", "CancellationCode", "Diverted", "CRSElapsedTime", "ActualElapsedTime", "AirTime", "Flights"),
    *("Distance", "DistanceGroup", "CarrierDelay", "WeatherDelay", "NASDelay", "SecurityDelay", "LateAircraftDelay"),
    *("FirstDepTime", "TotalAddGTime", "LongestAddGTime", "DivAirportLandings", "DivReachedDest"),
    *("DivActualElapsedTime", "DivArrDelay", "DivDistance"),
    *(f"Div{stop}{part}" for stop in range(1, 6) for part in _DIVERSION),
)
"""The 109 columns as published, in order."""
OLDER = {
    "Reporting_Airline": "UniqueCarrier",
    "DOT_ID_Reporting_Airline": "AirlineID",
    "IATA_CODE_Reporting_Airline": "Carrier",
    "Tail_Number": "TailNum",
    "Flight_Number_Reporting_Airline": "FlightNum",
}
SELECTED = {
    "FL_DATE": "FlightDate",
    "OP_UNIQUE_CARRIER": "Reporting_Airline",
    "OP_CARRIER": "IATA_CODE_Reporting_Airline",
    "TAIL_NUM": "Tail_Number",
    "OP_CARRIER_FL_NUM": "Flight_Number_Reporting_Airline",
    "ORIGIN": "Origin",
    "DEST": "Dest",
    "CRS_DEP_TIME": "CRSDepTime",
    "DEP_TIME": "DepTime",
    "DEP_DELAY": "DepDelay",
    "DEP_DELAY_NEW": "DepDelayMinutes",
    "CRS_ARR_TIME": "CRSArrTime",
    "ARR_TIME": "ArrTime",
    "ARR_DELAY": "ArrDelay",
    "CANCELLED": "Cancelled",
    "DIVERTED": "Diverted",
    "AIR_TIME": "AirTime",
    "DISTANCE": "Distance",
}


def bts_rows(flights: pl.DataFrame) -> list[Row]:
    """Landed flights (text, `NA`) as rows of the published file, in the reverse order of their schedule."""
    return [_row(flight) for flight in flights.reverse().iter_rows(named=True)]


def write_month(
    folder: Path, rows: Sequence[Row], naming: Naming = "current", *, year: int = 2013, month: int = 8
) -> Path:
    """The monthly zip as it is downloaded; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    form = "1987_present" if naming == "current" else ""
    stem = {
        "current": f"On_Time_Reporting_Carrier_On_Time_Performance_{form}_{year}_{month}",
        "older": f"On_Time_On_Time_Performance_{year}_{month}",
        "selected": "T_ONTIME_REPORTING",
    }[naming]
    names = {
        "current": {name: name for name in CURRENT},
        "older": {OLDER.get(name, name): name for name in CURRENT},
        "selected": SELECTED,
    }[naming]
    return write_zip(folder / f"{stem}.zip", csv_text(rows, names), stem.replace(form, f"({form})") if form else stem)


def csv_text(rows: Sequence[Row], names: Mapping[str, str]) -> str:
    """Text is quoted and every line ends with a comma, as in the published file."""
    out = io.StringIO()
    out.write(",".join(f'"{name}"' for name in names) + ",\n")
    for row in rows:
        out.write(",".join(_cell(row.get(published, "")) for published in names.values()) + ",\n")
    return out.getvalue()


def write_zip(path: Path, text: str, stem: str = "month") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.html", "<html>what the columns mean</html>")
        archive.writestr(f"{stem}.csv", text)
    return path


def _row(flight: Mapping[str, str]) -> Row:
    known = {name: "" if value == "NA" else value for name, value in flight.items()}
    date = f"{known['year']}-{int(known['month']):02}-{int(known['day']):02}"
    cancelled = not known["dep_time"]
    return {
        "Year": known["year"],
        "Month": known["month"],
        "DayofMonth": known["day"],
        "FlightDate": date,
        "Reporting_Airline": known["carrier"],
        "IATA_CODE_Reporting_Airline": known["carrier"],
        "Tail_Number": known["tailnum"],
        "Flight_Number_Reporting_Airline": known["flight"],
        "Origin": known["origin"],
        "OriginCityName": "New York, NY",
        "Dest": known["dest"],
        "CRSDepTime": _clock(known["sched_dep_time"]),
        "DepTime": _clock(known["dep_time"]),
        "DepDelay": _decimal(known["dep_delay"]),
        "DepDelayMinutes": _decimal(known["dep_delay"].replace("-", "")),
        "CRSArrTime": _clock(known["sched_arr_time"]),
        "ArrTime": _clock(known["arr_time"]),
        "ArrDelay": _decimal(known["arr_delay"]),
        "ArrDelayMinutes": _decimal(known["arr_delay"].replace("-", "")),
        "Cancelled": f"{cancelled:d}.00",
        "CancellationCode": "B" if cancelled else "",
        "Diverted": f"{not cancelled and not known['arr_delay']:d}.00",
        "AirTime": _decimal(known["air_time"]),
        "Flights": "1.00",
        "Distance": _decimal(known["distance"]),
    }


def _clock(text: str) -> str:
    return text and f"{int(text):04}"


def _decimal(text: str) -> str:
    return text and f"{int(text)}.00"


def _cell(value: str) -> str:
    """Numbers bare, text (clock times too) in quotes, as the published file has it; a missing number is nothing."""
    is_number = value.replace(".", "").replace("-", "").isdigit() and not (len(value) == 4 and "." not in value)
    return value if is_number or not value else '"' + value.replace('"', '""') + '"'


def header_of(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".csv"))
        return next(csv.reader(io.StringIO(archive.read(name).decode())))
