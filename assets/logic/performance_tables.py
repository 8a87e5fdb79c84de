"""The two tables that say how well predictions did: their columns and what they mean.

Belongs here: schemas. Does not belong here: filling them (`performance.py`).
"""

from typing import Final

import polars as pl

from assets.logic.control_chart import CHARTS, STATISTICS

WINDOWS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "partition_key": pl.String(),
    "window_start": pl.Date(),
    "window_end": pl.Date(),
    "judged_day": pl.Date(),
    "judged_days": pl.Int64(),
    "compared_days": pl.Int64(),
    "rows": pl.Int64(),
    "labelled": pl.Int64(),
    "refused_labels": pl.Int64(),
    "loss": pl.Float64(),
    "baseline_loss": pl.Float64(),
    "expected_loss": pl.Float64(),
    "estimate_error": pl.Float64(),
    "auc": pl.Float64(),
    "expected_auc": pl.Float64(),
    "calibration_error": pl.Float64(),
    "residual": pl.Float64(),
    "reference_loss": pl.Float64(),
    "reference_auc": pl.Float64(),
    "reference_calibration_error": pl.Float64(),
    "overdue_share": pl.Float64(),
    "overdue_limit": pl.Float64(),
    "chart_alarms": pl.List(pl.String()),
    "is_out_of_control": pl.Boolean(),
    "model_version": pl.String(),
    "note": pl.String(),
}
"""One row per partition. Rows and known labels are those of the whole window, and so are `refused_labels`, which came
and are no finite numbers. `judged_day` is the newest of the judged days, `model_version` made its predictions, and
`reference_*` are that version's scores in its test window. What is compared with them is of the labels of the judged
days that it predicted, `compared_days` of them: loss, baseline, AUC, calibration error, residual (label less
prediction), and `estimate_error`, what the estimate was too high by. `expected_loss` and `expected_auc` are estimates
of all rows. `is_out_of_control` is null if nothing could be judged, or the newest judged day is too long ago, and
`note` says why."""
UNDER_WAY: Final = "No day of this window has its labels yet."
"""The one `note` of a window that could not be judged and has no fault: no label of it should be in."""
DAYS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "partition_key": pl.String(),
    "day": pl.Date(),
    "rows": pl.Int64(),
    "labelled": pl.Int64(),
    "loss": pl.Float64(),
    "baseline_loss": pl.Float64(),
    "expected_loss": pl.Float64(),
    **dict.fromkeys(STATISTICS, pl.Float64()),
    **dict.fromkeys(CHARTS, pl.Float64()),
    "is_estimate": pl.Boolean(),
    "model_version": pl.String(),
}
"""One row per partition and day of its window with predictions. Days whose labels are not in are estimates: they have
an expected loss and no other. The charts are given as shares of their limits, above 1 is out of control, for the days
that they ran over: what they say of a day before the newest is what leads to it, not the verdict of that day."""
