"""How the columns of BTS on-time files are called, in each of the three ways in which one can get such a file.

Belongs here: names, and which column of a file holds what. Does not belong here: values (`bts_file.py`).

Source: the column list of the table "Reporting Carrier On-Time Performance (1987-present)" of the Bureau of
Transportation Statistics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from resources.errors import ThroughlineError

DATE_PARTS: Final = ("year", "month", "day")
FLIGHT_DATE: Final = "flight_date"

NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # The file since 2018, the file before it, the download of columns that a user selected.
        "year": ("Year", "YEAR"),
        "month": ("Month", "MONTH"),
        "day": ("DayofMonth", "DAY_OF_MONTH"),
        FLIGHT_DATE: ("FlightDate", "FL_DATE"),
        "carrier": ("IATA_CODE_Reporting_Airline", "Carrier", "OP_CARRIER"),
        "flight": ("Flight_Number_Reporting_Airline", "FlightNum", "OP_CARRIER_FL_NUM"),
        "tailnum": ("Tail_Number", "TailNum", "TAIL_NUM"),
        "origin": ("Origin", "ORIGIN"),
        "dest": ("Dest", "DEST"),
        "sched_dep_time": ("CRSDepTime", "CRS_DEP_TIME"),
        "dep_time": ("DepTime", "DEP_TIME"),
        # Not DepDelayMinutes, ArrDelayMinutes, DEP_DELAY_NEW, ARR_DELAY_NEW: those are cut at 0.
        "dep_delay": ("DepDelay", "DEP_DELAY"),
        "sched_arr_time": ("CRSArrTime", "CRS_ARR_TIME"),
        "arr_time": ("ArrTime", "ARR_TIME"),
        "arr_delay": ("ArrDelay", "ARR_DELAY"),
        "air_time": ("AirTime", "AIR_TIME"),
        "distance": ("Distance", "DISTANCE"),
        "cancelled": ("Cancelled", "CANCELLED"),
        "diverted": ("Diverted", "DIVERTED"),
    }
)
"""Our word for a column, and what BTS calls it. The first name that a file has counts."""


class BtsError(ThroughlineError):
    """A BTS file cannot be used; the message names it, what is wrong with it and what to do."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the columns of one file are.

    Attributes:
        position: Position of each column that is read, by our word for it.
        unnamed: Positions of columns without a name. Lines end with a comma, so that there is one behind the last.
        width: Number of columns, the unnamed included.
    """

    position: Mapping[str, int]
    unnamed: tuple[int, ...]
    width: int


def layout_of(header: Sequence[str], where: str) -> Layout:
    """The layout of a file with these column names; the date may be in one column or in three.

    Raises:
        BtsError: If columns are missing, naming all of them with the names they may have.
    """
    names = [name.strip() for name in header]
    found = {ours: next((n for n in theirs if n in names), None) for ours, theirs in NAMES.items()}
    has_parts = all(found[part] for part in DATE_PARTS)
    optional = (FLIGHT_DATE,) if has_parts else DATE_PARTS
    if missing := [ours for ours, name in found.items() if name is None and ours not in optional]:
        told = "; ".join(f"{ours} ({' or '.join(NAMES[ours])})" for ours in missing)
        date_told = f"; the date may also be given as {', '.join(NAMES[p][0] for p in DATE_PARTS)}"
        raise BtsError(
            f"{where} lacks {len(missing)} of the columns that are read: {told}"
            f"{date_told if FLIGHT_DATE in missing else ''}. Get the Reporting Carrier table with these columns"
        )
    wanted = {ours: name for ours, name in found.items() if name and ours not in optional}
    return Layout(
        position={ours: names.index(name) for ours, name in wanted.items()},
        unnamed=tuple(i for i, name in enumerate(names) if not name),
        width=len(names),
    )
