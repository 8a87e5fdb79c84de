"""Real servers on loopback for notices: a webhook that answers as told, and a mail server that speaks enough SMTP."""

import base64
import datetime
import ipaddress
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Webhook:
    """Answers each POST with the next of `answers`, then with 200; `texts` are those it took, before it answers.

    Attributes:
        refused: Part of the texts that it answers with 400 for good.
        delay_s: Before each answer.
        is_silent: Whether it takes texts without an answer, until it is closed.
    """

    port: int = 0
    scheme: str = "http"
    answers: list[int] = field(default_factory=list)
    refused: str | None = None
    delay_s: float = 0
    is_silent: bool = False
    closing: threading.Event = field(default_factory=threading.Event)
    calls: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/services/very-secret-path"


@contextmanager
def webhook(port: int = 0, *, tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    """A webhook; with `tls` it speaks nothing else."""
    state = Webhook(scheme="http" if tls is None else "https")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.calls += 1
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = state.answers.pop(0) if state.answers else 200
            if state.refused is not None and state.refused in body["text"]:
                status = 400
            if status == 200:
                state.texts.append(body["text"])
            if state.is_silent:
                state.closing.wait()
                return
            time.sleep(state.delay_s)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as server:
        state.port = server.server_address[1]
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        try:
            yield state
        finally:
            state.closing.set()


@dataclass
class MailServer:
    """`letters` are those it took, with their recipients; `answers` are given, once each, to the verbs they name.

    Attributes:
        delay_s: Before it says that it took a letter.
        is_silent: Whether it takes letters without an answer, until it is closed.
    """

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    letters: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    delay_s: float = 0
    is_silent: bool = False
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None, *, from_the_start: bool = False) -> Iterator[MailServer]:
    """A mail server; with `tls` it offers STARTTLS, or speaks TLS from the start."""
    state = MailServer()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            is_encrypted = tls is not None and from_the_start
            stream = tls.wrap_socket(self.request, server_side=True) if tls and is_encrypted else self.request
            lines = stream.makefile("rb")

            def say(text: str) -> None:
                stream.sendall(f"{text}\r\n".encode())

            say("220 test")
            recipients: list[str] = []
            while line := lines.readline().strip().decode():
                verb = line.split()[0].upper()
                if (answer := state.answers.pop(verb, None)) is not None:
                    say(answer)
                elif verb == "EHLO":
                    offers = ["STARTTLS"] if tls and not is_encrypted else []
                    offers += ["AUTH PLAIN"] if state.login else []
                    said = ["test", *offers]
                    for offer in said[:-1]:
                        say(f"250-{offer}")
                    say(f"250 {said[-1]}")
                elif verb == "STARTTLS" and tls:
                    say("220 go")
                    lines.close()
                    stream, is_encrypted = tls.wrap_socket(stream, server_side=True), True
                    lines = stream.makefile("rb")
                elif verb == "AUTH":
                    given = tuple(base64.b64decode(line.split()[2]).decode().split("\0")[1:])
                    say("235 welcome" if given == state.login else "535 no")
                elif verb == "RCPT":
                    recipients.append(line.partition("<")[2].partition(">")[0])
                    say("250 ok")
                elif verb == "DATA":
                    say("354 go")
                    body = b"".join(iter(lines.readline, b".\r\n"))
                    letter = message_from_bytes(body, policy=policy.default)
                    assert isinstance(letter, EmailMessage)
                    state.letters.append((recipients, letter))
                    state.was_encrypted.append(is_encrypted)
                    if state.is_silent:
                        state.closing.wait()
                        break
                    time.sleep(state.delay_s)
                    say("250 taken")
                elif verb == "QUIT":
                    say("221 bye")
                    break
                else:
                    say("250 ok")
            lines.close()
            if stream is not self.request:
                stream.close()

    with _serving(Server(("127.0.0.1", 0), Handler)) as server:
        state.port = server.server_address[1]
        try:
            yield state
        finally:
            state.closing.set()


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What a server on 127.0.0.1 needs to speak TLS, and the file by which a client trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private, public = folder / "key.pem", folder / "certificate.pem"
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    public.write_bytes(made.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[socketserver.TCPServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
