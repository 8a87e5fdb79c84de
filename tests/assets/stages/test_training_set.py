"""The training set is a choice that can be repeated, although the lake moves on."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dagster import Failure

from assets.contracts import LABEL_KNOWN_AT, PARTITION_KEY
from assets.logic.splits import RowCounts, SplitError, TrainingManifest
from assets.policies import TimeSplit
from assets.stages.training_set import labelled_rows, make_manifest, training_data
from resources.lake import Commit
from tests.support.few_days import (
    FEATURES_FROM,
    FEW_DAYS,
    LAST,
    Home,
    Trained,
    checks,
    days_between,
    failures,
    steps_run,
)

COMMIT = Commit(dagster_run_id="a test", code_version="a test")
NOW, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
TEST_DAYS = days_between("2013-02-03", LAST)


@pytest.fixture
def own(ingested: Home, tmp_path: Path) -> Home:
    return ingested.copy(tmp_path / "home")


def overwrite(home: Home, *days: str, **columns: pl.Expr) -> None:
    rows = home.rows("features", *days).with_columns(**columns)
    home.lake.write(home.table("features"), rows, partitions=days, commit=COMMIT)


def test_the_manifest_of_an_unchanged_lake_is_the_same_whenever_it_is_written(ingested: Home) -> None:
    first, second = (make_manifest(ingested.use_case, ingested.lake, NOW + hours * HOUR) for hours in (0, 1))
    assert first.created_at < second.created_at
    assert first.id == second.id


def test_the_manifest_names_days_table_versions_and_counts(trained: Trained) -> None:
    home = trained.home
    manifest = make_manifest(home.use_case, home.lake, NOW)
    assert str(manifest.windows.train) == f"{FEATURES_FROM} to 2013-01-31"
    assert str(manifest.windows.validation) == "2013-02-01 to 2013-02-02"
    assert str(manifest.windows.test) == f"{TEST_DAYS[0]} to {LAST}"
    read = {"features", *(f"cleaned_{t.name}" for t in home.use_case.tables)}
    assert manifest.tables == {name: home.lake.version(home.table(name)) for name in read}
    labels = home.rows("features", *TEST_DAYS)["is_late"]
    expected = RowCounts(labelled=labels.count(), unlabelled=labels.null_count(), distinct=2, positives=labels.sum())
    assert manifest.rows["test"] == expected


def test_new_data_is_another_training_set(own: Home) -> None:
    before = make_manifest(own.use_case, own.lake, NOW)
    overwrite(own, LAST, temp_f=pl.col("temp_f") + 1)
    assert make_manifest(own.use_case, own.lake, NOW).id != before.id


def test_a_label_that_is_not_known_yet_is_none(ingested: Home) -> None:
    now = datetime(2013, 2, 6, 17, tzinfo=UTC)
    manifest = make_manifest(ingested.use_case, ingested.lake, now)
    assert str(manifest.windows.test.end) == "2013-02-06"
    rows = ingested.rows("features", "2013-02-06").filter(pl.col("is_late").is_not_null())
    known = rows.filter(pl.col(LABEL_KNOWN_AT) <= now)
    found = labelled_rows(ingested.use_case, ingested.lake, manifest, "test")
    assert 0 < len(known) < len(rows)
    assert len(found.filter(pl.col(PARTITION_KEY) == "2013-02-06")) == len(known)


def test_without_a_label_that_is_known_there_is_no_training_set(ingested: Home) -> None:
    before = datetime(2013, 1, 1, tzinfo=UTC)
    with pytest.raises(SplitError):
        make_manifest(ingested.use_case, ingested.lake, before)


def test_labels_that_nobody_dated_count_beside_others_that_are_not_known_yet(own: Home) -> None:
    overwrite(own, *days_between(FEATURES_FROM, LAST), **{LABEL_KNOWN_AT: pl.lit(None, dtype=pl.Datetime("us", "UTC"))})
    overwrite(own, LAST, **{LABEL_KNOWN_AT: pl.lit(NOW)})
    manifest = make_manifest(own.use_case, own.lake, NOW - HOUR)
    assert str(manifest.windows.test.end) == days_between(FEATURES_FROM, LAST)[-2]
    assert LAST not in set(labelled_rows(own.use_case, own.lake, manifest, "test")[PARTITION_KEY])


def test_when_it_was_asked_does_not_matter_while_no_label_became_known(ingested: Home) -> None:
    night = datetime(2013, 2, 6, 9, tzinfo=UTC)
    first, second = (make_manifest(ingested.use_case, ingested.lake, night + minutes * HOUR / 60) for minutes in (0, 1))
    assert first.known_through == second.known_through
    assert first.id == second.id


def test_a_manifest_from_before_labels_were_dated_keeps_its_id(ingested: Home) -> None:
    manifest = replace(make_manifest(ingested.use_case, ingested.lake, NOW), known_through=None)
    content = json.loads(manifest.to_json())
    assert content.pop("known_through") is None
    assert TrainingManifest.from_json(json.dumps(content)) == manifest


@pytest.mark.parametrize("window", ["train", "validation", "test"])
def test_an_old_manifest_gives_its_rows_back_after_the_lake_moved_on(window: str, own: Home) -> None:
    manifest = make_manifest(own.use_case, own.lake, NOW)
    before = labelled_rows(own.use_case, own.lake, manifest, window)
    day = str(manifest.windows.named()[window].start)
    own.lake.delete_partitions(own.table("features"), [day], COMMIT)
    assert day not in set(own.rows("features")[PARTITION_KEY])
    assert labelled_rows(own.use_case, own.lake, manifest, window).equals(before)


def test_rows_that_are_not_those_that_were_counted_are_refused(ingested: Home) -> None:
    manifest = make_manifest(ingested.use_case, ingested.lake, NOW)
    one_more = replace(manifest.rows["test"], labelled=manifest.rows["test"].labelled + 1)
    altered = replace(manifest, rows={**manifest.rows, "test": one_more})
    with pytest.raises(Failure) as refusal:
        labelled_rows(ingested.use_case, ingested.lake, altered, "test")
    assert f"had {one_more.labelled} labelled rows" in str(refusal.value.description)


def test_rows_without_a_label_are_counted_and_never_learnt_from(ingested: Home) -> None:
    manifest = make_manifest(ingested.use_case, ingested.lake, NOW)
    rows = labelled_rows(ingested.use_case, ingested.lake, manifest, "train")
    assert manifest.rows["train"].unlabelled > 0
    assert rows["is_late"].null_count() == 0


def test_a_family_sees_no_label_that_was_not_known_when_the_test_window_began(own: Home) -> None:
    start = pl.datetime(2013, 2, 3, 5, time_zone="UTC")  # midnight in New York
    late_news = pl.when(pl.int_range(pl.len()) % 10 == 0).then(start).otherwise(pl.col(LABEL_KNOWN_AT))
    overwrite(own, "2013-02-02", **{LABEL_KNOWN_AT: late_news})
    manifest = make_manifest(own.use_case, own.lake, NOW)
    everything = labelled_rows(own.use_case, own.lake, manifest, "validation")
    known = everything.filter(pl.col(LABEL_KNOWN_AT) < start)
    assert 0 < len(known) < len(everything)
    assert len(training_data(own.use_case, own.lake, manifest).validation.label) == len(known)


@pytest.mark.parametrize("only", [0, 1])
def test_a_test_window_with_one_class_stops_the_training_and_says_so(only: int, own: Home) -> None:
    label = pl.when(pl.col("is_late").is_not_null()).then(pl.lit(only, dtype=pl.Int8)).alias("is_late")
    overwrite(own, *TEST_DAYS, is_late=label)
    result = own.run("train", "training_set", "logistic_regression", "evaluation_report", "champion")
    assert not result.success
    failed = checks(result)["training_set/every_window_has_labels_to_tell_apart"]
    assert not failed.passed
    assert "Nothing to learn from in: test (all labels equal)" in str(failed.description)
    assert steps_run(result) == {"training_set"}


def test_too_few_days_fail_with_a_sentence_that_says_how_many_are_needed(ingested: Home) -> None:
    split = TimeSplit(validation=timedelta(days=10), test=timedelta(days=31))
    home = replace(ingested, use_case=replace(FEW_DAYS, split=split))
    told = failures(home.run("train", "training_set"))
    assert "19 days are known" in told
    assert "validation, test and the gap between them take 41" in told
