"""Receivers that are dead, slow, answer half, twice, for others or in other modes, and certificates that are wrong."""

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from smearcount.delivery.destinations import MllpDestination
from smearcount.delivery.errors import DeliveryError, MessageRefused, NoAnswer
from smearcount.delivery.transports.mllp import MllpTransport
from smearcount.delivery.transports.transport import Letter
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import Export
from smearcount.differential.forms.hl7 import oru

from support.examining import EXPORT, signed
from support.receiving.certificates import Authority, authority
from support.receiving.delivering import to
from support.receiving.mllp import START, Lis, Received, acknowledgement, frame

Replies = Callable[[Received], Sequence[bytes | None]]


def letter(number: int = 1, lis: MllpTransport | None = None) -> Letter:
    """Return a message about the ordinary slide, each number another one."""
    export = Export(key=str(number), at=EXPORT.at, version="0")
    profile = lis._destination.profile if lis is not None else None
    body = oru(signed(), export) if profile is None else oru(signed(), export, profile, Disposition.FINAL)
    return Letter(number, body.split("|")[9], body)


_MADE: list[MllpTransport] = []


def way(lis: Lis, **fields: Any) -> MllpTransport:
    """Return a way to a receiver, which is closed when the test ends."""
    destination = to(lis.url, **{"timeout": 60, **fields})
    assert isinstance(destination, MllpDestination)
    _MADE.append(MllpTransport(destination))
    return _MADE[-1]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _MADE:
        _MADE.pop().close()


@pytest.fixture
def lis() -> Iterator[Lis]:
    with Lis() as made:
        yield made


def test_a_message_stands_between_its_frame_and_is_answered(lis: Lis) -> None:
    one = way(lis)
    answer = one.send(letter())
    assert "MSA|AA|" in answer
    assert lis.received[0].text == letter().body
    assert one.send(letter(2)) != answer
    assert lis.connections == 1, "the connection is kept"


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
def test_a_refusal_says_why(lis: Lis, code: str) -> None:
    lis.answering = lambda message: [acknowledgement(message, code, "no such order")]
    with pytest.raises(MessageRefused, match=f"^{code}, .*: no such order$"):
        way(lis).send(letter())


def test_an_err_segment_tells_the_reason(lis: Lis) -> None:
    error = "ERR||SPM^1^2|204^Unknown key identifier^HL70357|E||||no order for this sample"
    header = "MSH|^~\\&|LIS|||||ACK|x|1|P|2.5.1"
    lis.answering = lambda message: [frame(f"{header}\rMSA|AE|{message.control_id}\r{error}\r")]
    with pytest.raises(MessageRefused, match="no order for this sample"):
        way(lis).send(letter())


def half(message: Received) -> list[bytes | None]:
    return [acknowledgement(message)[:20], None]


def silence(_: Received) -> list[bytes | None]:
    return []


def hanging_up(_: Received) -> list[bytes | None]:
    return [None]


def of_another(message: Received) -> list[bytes | None]:
    return [acknowledgement(message).replace(message.control_id.encode(), b"0" * 20)]


def nonsense(_: Received) -> list[bytes | None]:
    return [frame("HTTP/1.1 400 Bad Request")]


def unknown_code(message: Received) -> list[bytes | None]:
    return [acknowledgement(message).replace(b"MSA|AA|", b"MSA|OK|")]


@pytest.mark.parametrize("answering", [half, silence, hanging_up, of_another, nonsense, unknown_code])
def test_what_is_no_answer_is_tried_again_as_the_same_message(lis: Lis, answering: Replies) -> None:
    lis.answering = answering
    one = way(lis, timeout=0.3 if answering in {silence, of_another} else 60)
    with pytest.raises(NoAnswer) as caught:
        one.send(letter())
    assert caught.value.was_sent
    lis.answering = lambda message: [acknowledgement(message)]
    another = way(lis)
    another.send(letter())
    assert {message.control_id for message in lis.received} == {letter().control_id}
    assert lis.connections == 2


def test_answers_that_come_twice_confuse_nobody(lis: Lis) -> None:
    lis.answering = lambda message: [acknowledgement(message)] * 2
    one = way(lis)
    for number in range(5):
        assert f"MSA|AA|{letter(number).control_id}" in one.send(letter(number))
    assert lis.connections == 1


def test_an_answer_in_pieces_is_put_together(lis: Lis) -> None:
    def in_pieces(message: Received) -> list[bytes]:
        whole = acknowledgement(message)
        return [whole[place : place + 1] for place in range(len(whole))]

    lis.answering = in_pieces
    assert "MSA|AA|" in way(lis).send(letter())


def test_a_receiver_that_is_slow_is_waited_for(lis: Lis) -> None:
    def slowly(message: Received) -> list[bytes]:
        time.sleep(0.5)
        return [acknowledgement(message)]

    lis.answering = slowly
    assert "MSA|AA|" in way(lis, timeout=60).send(letter())


def test_a_connection_that_was_closed_meanwhile_is_opened_anew_at_once(lis: Lis) -> None:
    one = way(lis)
    one.send(letter())
    lis.stop()
    lis.start()
    assert "MSA|AA|" in one.send(letter(2))


def test_a_dead_receiver_is_no_fault_of_the_message(lis: Lis) -> None:
    one = way(lis)
    lis.stop()
    with pytest.raises(NoAnswer, match="refused") as caught:
        one.send(letter())
    assert not caught.value.was_sent
    with pytest.raises(DeliveryError, match="refused"):
        one.check()
    lis.start()
    assert one.check() == "it takes connections"


def test_enhanced_mode_waits_for_both_answers(lis: Lis) -> None:
    def in_two_steps(message: Received) -> list[bytes]:
        application = acknowledgement(message).replace(b"|2.5.1", b"|2.5.1|||AL|NE")
        return [acknowledgement(message, "CA"), application]

    lis.answering = in_two_steps
    one = way(lis, acknowledgement="enhanced")
    assert "MSA|AA|" in one.send(letter(1, one))
    header = str(lis.received[0].message["MSH"][0])
    assert header.split("|")[14:16] == ["AL", "AL"]
    lis.answering = lambda message: [acknowledgement(message, "CA"), acknowledgement(message, "AR", "no")]
    with pytest.raises(MessageRefused, match="AR"):
        one.send(letter(2, one))
    lis.answering = lambda message: [acknowledgement(message, "CA")]
    with pytest.raises(NoAnswer):
        way(lis, acknowledgement="enhanced", timeout=0.3).send(letter(3, one))


def test_a_receiver_that_only_stores_is_believed_where_that_was_agreed(lis: Lis) -> None:
    lis.answering = lambda message: [acknowledgement(message, "CA")]
    one = way(lis, acknowledgement="commit")
    assert "MSA|CA|" in one.send(letter(1, one))
    assert str(lis.received[0].message["MSH"][0]).split("|")[14:16] == ["AL", "NE"]


def test_the_character_set_is_that_of_the_receiver() -> None:
    with Lis(encoding="iso8859-1") as lis:
        one = way(lis, character_set="8859/1")
        one.send(letter(1, one))
    assert b"M\xfcller" in lis.received[0].raw
    assert "|8859/1" in lis.received[0].text


def test_something_that_never_ends_is_no_answer(lis: Lis) -> None:
    lis.answering = lambda _: [START + b"x" * 100_000] * 20
    with pytest.raises(NoAnswer, match="too long"):
        way(lis, timeout=60).send(letter())


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("certificates") / "ours")


def test_tls_with_a_valid_certificate(ours: Authority) -> None:
    with Lis(tls=ours.server("localhost")) as lis:
        one = way(lis, ca=ours.certificate)
        assert "its certificate is valid" in one.check()
        assert "MSA|AA|" in one.send(letter())


def test_tls_with_a_certificate_of_nobody_that_we_trust(ours: Authority, tmp_path: Path) -> None:
    stranger = authority(tmp_path / "stranger")
    with Lis(tls=stranger.server("localhost")) as lis:
        with pytest.raises(NoAnswer, match="its certificate is not valid"):
            way(lis, ca=ours.certificate).send(letter())
        with pytest.raises(DeliveryError, match="its certificate is not valid"):
            way(lis).check()
        assert lis.received == []


def test_tls_with_the_certificate_of_another_host(ours: Authority) -> None:
    with Lis(tls=ours.server("elsewhere.example")) as lis:
        with pytest.raises(NoAnswer, match=r"its certificate is not valid.*localhost"):
            way(lis, ca=ours.certificate).send(letter())
        assert lis.received == []


def test_a_receiver_may_ask_who_we_are(ours: Authority) -> None:
    ours.issue("sender")
    server = ours.server("localhost")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(ours.certificate)
    named = {"certificate": ours.folder / "sender.pem", "key": ours.folder / "sender.key"}
    with Lis(tls=server) as lis:
        with pytest.raises(NoAnswer):
            way(lis, ca=ours.certificate).send(letter())
        assert "MSA|AA|" in way(lis, ca=ours.certificate, **named).send(letter())


def test_certificates_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="certificates cannot be used"):
        way(Lis(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), ca=tmp_path / "none.pem")
