"""TXT records asked of a name server on a loopback socket."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest

from outagecast.commands.dns import LookupFailed, Txt, name_servers, txt_records
from outagecast.commands.findings import State
from outagecast.commands.mail_records import mail_records

Zone = dict[str, list[str] | None]
Server = tuple[str, int]


def strings(text: str) -> bytes:
    data = text.encode()
    return b"".join(bytes([len(part)]) + part for part in (data[n : n + 255] for n in range(0, len(data), 255)))


def answer_to(query: bytes, zone: Zone, *, udp: bool) -> bytes:
    """What a name server says: names that point back, an unrelated record first, cut short where UDP is too small."""
    place, labels = 12, []
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode())
        place += 1 + query[place]
    question = query[12 : place + 5]
    texts = zone.get(".".join(labels))
    if texts is None:
        return query[:2] + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + question
    records = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    for text in texts:
        data = strings(text)
        records += b"\xc0\x0c" + struct.pack("!HHIH", 16, 1, 60, len(data)) + data
    if udp and len(records) > 1232:
        return query[:2] + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + question
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1 + len(texts), 0, 0) + question + records


class Door(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if b"silent" not in data:
            self.transport.sendto(b"\xff\xff" + data[2:], addr)  # somebody else's answer
            self.transport.sendto(answer_to(data, self.zone, udp=True), addr)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Zone], asyncio.Future[Server]]]:
    open_doors: list[asyncio.DatagramTransport | asyncio.Server] = []

    async def start(zone: Zone) -> Server:
        async def tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            found = answer_to(await reader.readexactly(length), zone, udp=False)
            writer.write(struct.pack("!H", len(found)) + found)
            writer.close()

        door = await asyncio.start_server(tcp, "127.0.0.1", 0)
        server: Server = ("127.0.0.1", door.sockets[0].getsockname()[1])
        datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Door(zone), server)
        open_doors.extend([door, datagrams])
        return server

    yield lambda zone: asyncio.ensure_future(start(zone))
    for door in open_doors:
        door.close()


async def test_texts_are_joined_and_other_records_passed_over(serve: Callable[[Zone], asyncio.Future[Server]]) -> None:
    server = await serve({"a.example": ["short", "x" * 300], "b.example": [], "big.example": ["y" * 250] * 9})
    assert await txt_records("a.example.", [server]) == Txt(exists=True, texts=("short", "x" * 300))
    assert await txt_records("b.example", [server]) == Txt(exists=True)
    assert await txt_records("none.example", [server]) == Txt(exists=False)
    assert len((await txt_records("big.example", [server])).texts) == 9


async def test_silence_is_not_an_answer(serve: Callable[[Zone], asyncio.Future[Server]]) -> None:
    server = await serve({"silent.example": ["v=spf1 -all"]})
    with pytest.raises(LookupFailed, match=r"no answer from 127\.0\.0\.1 within 0\.05 s"):
        await txt_records("silent.example", [server], seconds=0.05)
    with pytest.raises(LookupFailed, match="no name server"):
        await txt_records("a.example", [])
    with pytest.raises(LookupFailed, match="not a domain name"):
        await txt_records("a..example", [server])


async def test_mail_records(serve: Callable[[Zone], asyncio.Future[Server]]) -> None:
    server = await serve(
        {
            "good.example": ["v=spf1 mx -all", "other"],
            "k1._domainkey.good.example": ["v=DKIM1; k=rsa; p=MIIB"],
            "_domainkey.good.example": [],
            "_dmarc.good.example": ["v=DMARC1; p=none"],
            "twice.example": ["v=spf1 mx -all", "v=spf1 -all"],
        }
    )

    async def states(domain: str, selector: str = "") -> list[State]:
        return [finding.state for finding in await mail_records(domain, selector, [server])]

    assert await states("good.example", "k1") == [State.OK, State.OK, State.OK]
    assert await states("good.example") == [State.OK, State.UNKNOWN, State.OK]
    assert await states("sub.good.example", "k2") == [State.PROBLEM, State.PROBLEM, State.OK]
    assert await states("twice.example") == [State.PROBLEM, State.PROBLEM, State.WARNING]
    unknown = await mail_records("good.example", "", [])
    assert {finding.state for finding in unknown} == {State.UNKNOWN}
    assert all("could not be looked up" in finding.detail for finding in unknown)


def test_name_servers(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# mine\nsearch x\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver\n")
    assert name_servers(file) == [("192.0.2.1", 53), ("fe80::1", 53)]
    assert name_servers(tmp_path / "none") == []
