"""What people are told, by which way, once; and what happens while nobody listens."""

import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from resources.notifier import Mail, Notice, Notifier, NotifierError
from tests.support.notice_servers import MailServer, Webhook, certificate, mail_server, webhook
from tests.support.serving import free_port

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
URL, PASSWORD = "THROUGHLINE_WEBHOOK_URL", "THROUGHLINE_SMTP_PASSWORD"


def notice(key: str = "a", at: datetime = NOON, text: str = "One parcel of two.") -> Notice:
    return Notice(
        key=key, title=f"title {key}", text=text, severity="alarm", use_case="parcels", link="http://x", at=at
    )


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as server:
        monkeypatch.setenv(URL, server.url)
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def notifier(folder: Path, **changed: object) -> Notifier:
    return Notifier(**{"root": str(folder / "notices"), "wait_s": 0.01, "pause_s": 0.0, **changed})


def hooked(folder: Path, **changed: object) -> Notifier:
    return notifier(folder, webhook_variable=URL, **changed)


def mailing(folder: Path, server: MailServer, *, webhook_variable: str | None = None, **changed: object) -> Notifier:
    given = {"host": "127.0.0.1", "port": server.port, "tls": "off", "sender": "a@b.c", "to": ["d@e.f", "g@h.i"]}
    return notifier(folder, mail=Mail(**{**given, **changed}), webhook_variable=webhook_variable)


def logged(folder: Path) -> list[str]:
    lines = (folder / "notices" / "notices.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["key"] for line in lines]


def kept(folder: Path) -> str:
    """Everything that lies in the folder of the notices."""
    return "\n".join(f.read_text(encoding="utf-8") for f in (folder / "notices").rglob("*") if f.is_file())


def test_without_settings_a_notice_is_a_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert notifier(tmp_path).notify(notice())
    assert logged(tmp_path) == ["a"]
    assert [r.levelname for r in caplog.records] == ["ERROR"]


def test_a_key_is_told_of_once_in_24_hours(tmp_path: Path, hook: Webhook) -> None:
    told = [hooked(tmp_path).notify(notice(at=NOON + timedelta(hours=h))) for h in (0, 1, 23.9, 24, 25)]
    assert told == [True, False, False, True, False]
    assert len(hook.texts) == 2


def test_a_clock_that_jumps_back_repeats_nothing_and_hides_nothing_for_ever(tmp_path: Path) -> None:
    told = [notifier(tmp_path).notify(notice(at=NOON + timedelta(days=d))) for d in (0, -0.5, -40)]
    assert told == [True, False, True]


def test_other_keys_are_told_of(tmp_path: Path, hook: Webhook) -> None:
    assert [hooked(tmp_path).notify(notice(key)) for key in ("a", "b", "a/b", "../a", "")] == [True] * 5


def test_the_webhook_gets_title_text_and_link(tmp_path: Path, hook: Webhook) -> None:
    hooked(tmp_path).notify(notice(text="1 < 2 & so on"))
    assert hook.texts == ["*alarm* parcels: title a\n1 &lt; 2 &amp; so on\nhttp://x"]


def test_a_server_error_and_too_many_requests_are_tried_again(tmp_path: Path, hook: Webhook) -> None:
    hook.answers = [500, 429]
    assert hooked(tmp_path).notify(notice())
    assert len(hook.texts) == 1


@pytest.mark.parametrize("status", [400, 404, 302])
def test_a_refusal_is_not_tried_again_at_once(tmp_path: Path, hook: Webhook, status: int) -> None:
    hook.answers = [status]
    with pytest.raises(NotifierError, match=str(status)):
        hooked(tmp_path).notify(notice())
    assert hook.calls == 1


def test_what_one_refusal_is_about_does_not_hold_up_the_rest(tmp_path: Path, hook: Webhook) -> None:
    hook.answers = [400]
    with pytest.raises(NotifierError):
        hooked(tmp_path).notify(notice("bad"))
    hook.answers = [400]
    with pytest.raises(NotifierError, match="1 by webhook"):
        hooked(tmp_path).notify(notice("good", NOON + timedelta(minutes=1)))
    assert [text.splitlines()[0] for text in hook.texts] == ["*alarm* parcels: title good"]


def test_a_notice_waits_while_the_server_is_down_and_goes_out_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(URL, f"http://127.0.0.1:{port}/")
    for key, at in (("b", NOON), ("a", NOON + timedelta(hours=1))):
        with pytest.raises(NotifierError, match="cannot be reached"):
            hooked(tmp_path).notify(notice(key, at))
    with webhook(port) as server:
        assert hooked(tmp_path).deliver() == 2
        assert hooked(tmp_path).deliver() == 0
    assert [text.splitlines()[0][-1] for text in server.texts] == ["b", "a"]
    assert logged(tmp_path) == ["b", "a"]


def test_a_duplicate_of_what_waits_is_an_occasion_to_send_it(tmp_path: Path, hook: Webhook) -> None:
    hook.answers = [500] * 3
    with pytest.raises(NotifierError, match="500"):
        hooked(tmp_path).notify(notice())
    assert not hooked(tmp_path).notify(notice())
    assert len(hook.texts) == 1


def test_a_slow_server_is_given_up_on(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.notice_forms.TIMEOUT_S", 0.05)
    hook.delay_s = 0.3
    with pytest.raises(NotifierError, match="timed out"):
        hooked(tmp_path).notify(notice())
    assert hook.calls == 3


def test_a_form_that_failed_is_left_alone_for_a_while(tmp_path: Path, hook: Webhook) -> None:
    hook.answers = [500] * 3
    for _ in range(2):
        with pytest.raises(NotifierError):
            hooked(tmp_path, pause_s=3600).notify(notice())
    assert hook.calls == 3


def test_one_form_that_fails_does_not_hold_up_another(tmp_path: Path, hook: Webhook, mail: MailServer) -> None:
    hook.answers = [404]
    both = mailing(tmp_path, mail, webhook_variable=URL)
    with pytest.raises(NotifierError, match="1 by webhook"):
        both.notify(notice())
    assert both.deliver() == 1
    assert (len(hook.texts), len(mail.letters)) == (1, 1)


def test_a_letter_reaches_all_recipients_with_subject_text_and_link(tmp_path: Path, mail: MailServer) -> None:
    mailing(tmp_path, mail).notify(notice())
    ((recipients, letter),) = mail.letters
    assert recipients == ["d@e.f", "g@h.i"]
    assert letter["Subject"] == "[parcels] alarm: title a"
    assert letter.get_content().split() == ["One", "parcel", "of", "two.", "http://x"]


@pytest.mark.parametrize("from_the_start", [True, False])
def test_mail_is_encrypted_and_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_the_start: bool) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv(PASSWORD, "hush")
    with mail_server(context, from_the_start=from_the_start) as server:
        server.login = ("anna", "hush")
        tls = "tls" if from_the_start else "starttls"
        mailing(tmp_path, server, tls=tls, user="anna", password_variable=PASSWORD).notify(notice())
    assert server.was_encrypted == [True]


def test_a_server_without_tls_gets_nothing_in_the_clear(tmp_path: Path, mail: MailServer) -> None:
    with pytest.raises(NotifierError, match="STARTTLS"):
        mailing(tmp_path, mail, tls="starttls").notify(notice())
    assert not mail.letters


def test_a_server_that_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    with mail_server(context) as server, pytest.raises(NotifierError, match="safely"):
        mailing(tmp_path, server, tls="starttls").notify(notice())
    assert not server.letters


@pytest.mark.parametrize(("answer", "letters"), [("451 later", 1), ("550 never", 0)])
def test_mail_refused_for_now_is_tried_again_and_mail_refused_for_good_is_not(
    tmp_path: Path, mail: MailServer, answer: str, letters: int
) -> None:
    mail.answers = {"MAIL": answer}
    if letters:
        mailing(tmp_path, mail).notify(notice())
    else:
        with pytest.raises(NotifierError, match="550"):
            mailing(tmp_path, mail).notify(notice())
    assert len(mail.letters) == letters


def test_a_recipient_who_is_refused_is_reported_and_the_others_get_one_letter(
    tmp_path: Path, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail.answers = {"RCPT": "550 unknown"}
    mailing(tmp_path, mail).notify(notice())
    assert [recipients for recipients, _ in mail.letters] == [["g@h.i"]]
    assert "d@e.f" in caplog.text


def test_no_secret_is_in_an_error_a_file_or_a_repr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(URL, f"http://127.0.0.1:{free_port()}/very-secret-path")
    monkeypatch.setenv(PASSWORD, "hush")
    mail.login = ("anna", "other")
    both = mailing(tmp_path, mail, webhook_variable=URL, user="anna", password_variable=PASSWORD)
    with pytest.raises(NotifierError, match="refuses the login of anna") as error:
        both.notify(notice())
    told = "".join(traceback.format_exception(error.value))
    shown = f"{told} {both!r} {caplog.text} {kept(tmp_path)}"
    assert "very-secret-path" not in shown
    assert "hush" not in shown


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotifierError, match=f"{URL} is not set"):
        hooked(tmp_path).notify(notice())


TELL = """
import sys
from tests.resources.test_notifier import hooked, notice
from pathlib import Path
for n in range(8):
    hooked(Path(sys.argv[1])).notify(notice(str(n)))
"""


def test_several_processes_tell_each_key_once(tmp_path: Path, hook: Webhook) -> None:
    root = Path(__file__).parents[2]
    processes = [subprocess.Popen([sys.executable, "-c", TELL, str(tmp_path)], cwd=root) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(logged(tmp_path)) == [str(n) for n in range(8)]
    assert len(hook.texts) == 8


def test_an_asset_and_a_sensor_get_it_as_a_resource(tmp_path: Path, hook: Webhook, mail: MailServer) -> None:
    @dg.asset
    def parcels(notifier: Notifier) -> None:
        notifier.notify(notice())

    both = mailing(tmp_path, mail, webhook_variable=URL)
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([parcels], resources={"notifier": both}, instance=instance).success
    assert (len(hook.texts), len(mail.letters)) == (1, 1)


def test_a_notice_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        notice(at=datetime(2020, 1, 1))  # noqa: DTZ001


def test_keys_that_are_old_are_let_go_of(tmp_path: Path) -> None:
    for n in range(3):
        notifier(tmp_path).notify(notice(str(n), NOON + timedelta(days=n)))
    assert len(list((tmp_path / "notices" / "accepted").iterdir())) == 1
