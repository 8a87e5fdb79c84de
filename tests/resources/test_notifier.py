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

from resources.notices import NoticeBox
from resources.notifier import Mail, Notice, Notifier, NotifierError
from tests.support.notice_servers import MailServer, Webhook, certificate, mail_server, webhook
from tests.support.serving import free_port

NOON = datetime(2020, 1, 1, 12, tzinfo=UTC)
CONNECTIONS = "resources.notice_connections"
UNANSWERED = "did not say whether it took it"
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


def test_a_webhook_is_spoken_to_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with webhook(tls=context) as server:
        monkeypatch.setenv(URL, server.url)
        hooked(tmp_path).notify(notice())
    assert len(server.texts) == 1


def test_a_webhook_that_nobody_vouches_for_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = certificate(tmp_path)
    with webhook(tls=context) as server:
        monkeypatch.setenv(URL, server.url)
        with pytest.raises(NotifierError, match="CERTIFICATE_VERIFY_FAILED"):
            hooked(tmp_path).notify(notice())
    assert not server.texts


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


def test_a_webhook_may_take_longer_to_answer_than_to_be_reached(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CONNECTIONS}.LIMIT_S", 0.2)
    hook.delay_s = 0.5
    assert hooked(tmp_path).notify(notice())
    assert (hook.calls, hooked(tmp_path).deliver()) == (1, 0)


def test_a_mail_server_may_take_longer_over_a_letter_than_over_a_word(
    tmp_path: Path, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CONNECTIONS}.LIMIT_S", 0.5)
    mail.delay_s = 0.8
    assert mailing(tmp_path, mail).notify(notice())
    assert (len(mail.letters), mailing(tmp_path, mail).deliver()) == (1, 0)


def faults(told: Notifier, rounds: int) -> list[str]:
    """Tell of something, then deliver; what was wrong with each round, empty if nothing was."""
    found = []
    for n in range(rounds):
        try:
            told.deliver() if n else told.notify(notice())
        except NotifierError as error:
            found.append(str(error))
        else:
            found.append("")
    return found


def test_a_message_without_an_answer_is_sent_once_more_in_a_later_round_and_then_dropped_with_a_word(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"{CONNECTIONS}.ANSWER_S", 0.05)
    hook.is_silent = True
    assert [UNANSWERED in fault for fault in faults(hooked(tmp_path), 4)] == [True, False, False, False]
    assert hook.calls == 2
    assert "title a. Not sent a third time" in caplog.text


def test_a_letter_without_an_answer_is_sent_once_more_in_a_later_round_and_then_dropped_with_a_word(
    tmp_path: Path, mail: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(f"{CONNECTIONS}.ANSWER_S", 0.05)
    mail.is_silent = True
    assert [UNANSWERED in fault for fault in faults(mailing(tmp_path, mail), 4)] == [True, False, False, False]
    assert len(mail.letters) == 2
    assert "title a. Not sent a third time" in caplog.text


def test_a_letter_whose_connection_breaks_before_the_answer_is_sent_once_more_in_a_later_round(
    tmp_path: Path, mail: MailServer
) -> None:
    mail.is_silent = True
    mail.closing.set()
    assert [UNANSWERED in fault for fault in faults(mailing(tmp_path, mail), 3)] == [True, False, False]
    assert len(mail.letters) == 2


@pytest.mark.parametrize("answer", ["421 closing", "250 ok", "nonsense"])
def test_a_letter_that_was_taken_is_not_sent_again_whatever_the_good_bye(
    tmp_path: Path, mail: MailServer, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    mail.answers = {"QUIT": answer}
    assert mailing(tmp_path, mail).notify(notice())
    assert len(mail.letters) == 1
    assert "good-bye" in caplog.text


def test_a_mail_server_that_takes_too_long_before_it_has_the_letter_is_given_up_on(
    tmp_path: Path, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{CONNECTIONS}.TALK_S", 0.0)
    with pytest.raises(NotifierError, match="before it got the letter"):
        mailing(tmp_path, mail).notify(notice())
    assert not mail.letters


def backlog(folder: Path, count: int) -> None:
    for n in range(count):
        NoticeBox(folder / "notices").accept(notice(f"{n:02}", NOON + timedelta(seconds=n)), ["webhook"])


def test_a_webhook_that_is_gone_is_asked_a_few_times_a_round_and_nothing_is_lost(tmp_path: Path, hook: Webhook) -> None:
    backlog(tmp_path, 40)
    hook.answers = [404] * 3
    with pytest.raises(NotifierError, match="40 by webhook"):
        hooked(tmp_path).deliver()
    assert hook.calls == 3
    assert hooked(tmp_path).deliver() == 40


def test_messages_that_are_refused_again_and_again_do_not_hold_up_the_rest(tmp_path: Path, hook: Webhook) -> None:
    backlog(tmp_path, 15)
    hook.refused = "title 0"  # the ten oldest
    for _ in range(20):
        with pytest.raises(NotifierError):
            hooked(tmp_path).deliver()
    assert len(hook.texts) == 5
    hook.refused = None
    assert hooked(tmp_path).deliver() == 10


def test_after_a_while_of_sending_the_rest_waits_for_another_time(
    tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.notifier.SENDING_S", 1e-9)
    backlog(tmp_path, 3)
    assert [hooked(tmp_path, pause_s=3600).deliver() for _ in range(3)] == [1, 0, 0]
    assert hooked(tmp_path).deliver() == 2


def test_no_try_is_begun_when_the_time_is_spent(tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.notifier.SENDING_S", 1e-9)
    hook.answers = [500] * 3
    with pytest.raises(NotifierError, match="500"):
        hooked(tmp_path).notify(notice())
    assert hook.calls == 1


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


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks/very-hushed path",
        "https://hooks/very-hush\u00e9d",
        "https://[hooks/very-hushed",
        "https://anna:very-hushed@hooks/",
        "https://hooks:very-hushed/",
        "https://very..hushed/",
        "very-hushed",
    ],
)
def test_an_address_that_is_none_is_a_fault_that_waits_and_quotes_nothing_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(URL, url)
    with pytest.raises(NotifierError, match=f"1 by webhook: {URL} is no web address") as error:
        hooked(tmp_path).notify(notice())
    assert "hushed" not in f"{''.join(traceback.format_exception(error.value))} {kept(tmp_path)}"


def test_an_answer_that_is_not_http_shows_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as server:  # its first word is no status line
        monkeypatch.setenv(URL, f"http://127.0.0.1:{server.port}/")
        with pytest.raises(NotifierError, match=UNANSWERED) as error:
            hooked(tmp_path).notify(notice())
    assert "220" not in str(error.value)


@pytest.mark.parametrize("changed", [{"user": "ann\u00e9"}, {}])
def test_a_login_beyond_ascii_is_a_fault_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: MailServer, changed: dict[str, str]
) -> None:
    monkeypatch.setenv(PASSWORD, "hush" if changed else "h\u00fcsh")
    mail.login = ("anna", "hush")
    with pytest.raises(NotifierError, match=f"{PASSWORD} or the user has characters beyond ASCII"):
        mailing(tmp_path, mail, **{"user": "anna", "password_variable": PASSWORD, **changed}).notify(notice())
    assert logged(tmp_path) == ["a"]


@pytest.mark.parametrize("changed", [{"host": "very..wrong"}, {"sender": "a\n@b.c"}])
def test_mail_that_is_addressed_wrongly_is_a_fault_that_waits(
    tmp_path: Path, mail: MailServer, changed: dict[str, object]
) -> None:
    with pytest.raises(NotifierError, match=r"1 by mail: .* is malformed"):
        mailing(tmp_path, mail, **changed).notify(notice())
    assert logged(tmp_path) == ["a"]


def test_bytes_that_are_no_text_are_told_as_such_by_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: Webhook, mail: MailServer
) -> None:
    both = mailing(tmp_path, mail, webhook_variable=URL)
    assert both.notify(notice("file \udcff", text="The file \udcff."))
    ((_, letter),) = mail.letters
    assert "The file \\udcff." in letter.get_content()
    assert "The file \\udcff." in hook.texts[0]
    assert logged(tmp_path) == ["file \\udcff"]


def test_what_a_process_without_the_webhook_saw_first_is_sent_by_one_that_has_it(tmp_path: Path, hook: Webhook) -> None:
    told = [form(tmp_path).notify(notice()) for form in (notifier, hooked, notifier, hooked)]
    assert told == [True, True, False, False]
    assert len(hook.texts) == 1
    assert logged(tmp_path) == ["a"]


def test_what_waited_before_its_tries_were_counted_is_sent(tmp_path: Path, hook: Webhook) -> None:
    backlog(tmp_path, 1)
    (file,) = (tmp_path / "notices" / "outbox" / "webhook").iterdir()
    told = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({k: v for k, v in told.items() if k not in ("refused", "unanswered")}), encoding="utf-8")
    assert hooked(tmp_path).deliver() == 1


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
