"""The host's end of the link: what can go wrong on a cable, and what is said about it."""

import re
import sys

import pytest

from tests.boards.fake_board import Answer, port_that
from weft.boards.serial_link import LinkError, SerialLink
from weft.errors import ToolError
from weft.hw.link.protocol import Command, Error, reply, request


def test_a_reply() -> None:
    with port_that(lambda command, payload: reply(command, payload[::-1])) as port:
        with SerialLink(port) as link:
            assert link.ask(Command.INPUT, b"abc", n_bytes=3) == b"cba"
            data = bytes(range(255))
            assert link.ask(Command.IMAGE, data, n_bytes=255) == data[::-1]
            assert link.ask(Command.IMAGE, data, n_bytes=None) == data[::-1]


def late(data: bytes) -> Answer:
    return lambda command, payload: data


DAMAGED = "the reply to STATUS is damaged; check the cable and --baud"
SILENT = (
    "no reply to STATUS within 0.3 s; is it the right port, has the board the bitstream of this "
    "build, does --baud fit?"
)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (late(b""), SILENT),
        (late(reply(Command.STATUS, b"12345")[:-1]), SILENT),
        (late(b"\0" + reply(Command.STATUS)[1:]), DAMAGED),
        (late(reply(Command.STATUS)[:-1] + b"\0"), DAMAGED),
        (late(b"\xff" * 262), DAMAGED),
        (lambda command, payload: request(command, payload), DAMAGED),  # an echo
        (late(reply(Command.RESET)), "the reply to STATUS is one to another request"),
        *(
            (
                late(reply(Command.STATUS, bytes(n))),
                f"the reply to STATUS has {n} bytes of payload, not 0; is another program or "
                "another design at the port's end?",
            )
            for n in (1, 255)
        ),
        (lambda command, payload: None, "re:was lost: .*; is the cable in\\?"),
        *(
            (late(reply(Command.STATUS, error=error)), f"the board refused STATUS: {text}")
            for error, text in [
                (Error.CHECKSUM, "the request arrived damaged"),
                (Error.INCOMPLETE, "the request stopped in the middle"),
                (Error.COMMAND, "it does not know this request"),
                (Error.LENGTH, "the request has the wrong length"),
                (Error.ADDRESS, "an address is outside the memory"),
                (Error.STATE, "it is not the time for this request"),
            ]
        ),
        (
            late(reply(Command.STATUS, error=15)),
            "the board refused STATUS: error 15, which this weft does not know",
        ),
    ],
)
def test_what_can_go_wrong(answer: Answer, message: str) -> None:
    with port_that(answer) as port, SerialLink(port, timeout=0.3) as link:
        with pytest.raises(LinkError) as caught:
            link.ask(Command.STATUS)
        kind, _, pattern = message.rpartition("re:")
        assert isinstance(caught.value, ToolError)
        expected = pattern if "re:" in message else re.escape(message)
        assert re.fullmatch(f"port {port}:? {expected}", str(caught.value)), kind


def test_bytes_that_nobody_asked_for() -> None:
    """A reply that comes twice would answer the next request."""
    with port_that(late(2 * reply(Command.STATUS))) as port, SerialLink(port) as link:
        assert link.ask(Command.STATUS) == b""
        while not link._serial.in_waiting:  # the second one is on its way
            pass
        with pytest.raises(LinkError) as caught:
            link.ask(Command.RESET)
        assert str(caught.value) == (
            f"port {port}: the board sent 7 bytes that nobody asked for before RESET; check the "
            "cable and --baud"
        )


def test_ports_that_do_not_open(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for name, reason in [
        (tmp_path / "none", "No such file or directory"),
        (tmp_path / "file", "Inappropriate ioctl for device|.*"),
        (tmp_path, "Is a directory"),
    ]:
        with pytest.raises(LinkError) as caught:
            SerialLink(str(name))
        assert re.fullmatch(f"port {name} cannot be opened: ({reason})", str(caught.value))


@pytest.mark.skipif(sys.platform != "linux", reason="locks are Linux'")
def test_a_port_that_is_in_use() -> None:
    with port_that(late(b"")) as port, SerialLink(port):
        with pytest.raises(LinkError) as caught:
            SerialLink(port)
        assert str(caught.value) == (f"port {port} cannot be opened: another program has it open")


def test_leftovers_are_drained() -> None:
    with port_that(late(reply(Command.STATUS) * 3)) as port, SerialLink(port) as link:
        link.send(b"W\0\0abcd")
        assert link.drain(0.2) == reply(Command.STATUS) * 3
        assert link.drain(0) == b""
