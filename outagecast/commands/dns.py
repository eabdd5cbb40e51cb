"""One question to the domain name system: the TXT records (RFC 1035), over UDP, or TCP where UDP is too small.

The standard library resolves host names only, and `doctor` is no reason for a resolver library.
"""

import asyncio
import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
SECONDS = 3.0
_TXT, _OPT, _IN = 16, 41, 1
_EDNS_SIZE = 1232
"""Bytes that pass every path in one piece (DNS flag day 2020)."""
_RECURSE, _TRUNCATED, _RCODE = 0x0100, 0x0200, 0x000F
_NO_ERROR, _NO_SUCH_NAME = 0, 3


class LookupFailed(Exception):
    """The question has no answer: not that the name does not exist."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Txt:
    """What a name has. `exists` is False where the name itself does not (NXDOMAIN)."""

    exists: bool
    texts: tuple[str, ...] = ()


def name_servers(path: Path = RESOLV_CONF) -> list[tuple[str, int]]:
    """The servers that the system asks; none where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [(parts[1].partition("%")[0], 53) for parts in words if len(parts) > 1 and parts[0] == "nameserver"]


async def txt_records(name: str, servers: Sequence[tuple[str, int]], *, seconds: float = SECONDS) -> Txt:
    """The TXT records of a name from the first server that answers. LookupFailed, with the reason."""
    if not servers:
        raise LookupFailed("no name server is configured")
    reason = ""
    for server in servers:
        try:
            async with asyncio.timeout(seconds):
                return await _ask(name, server)
        except TimeoutError:
            reason = f"no answer from {server[0]} within {seconds:g} s"
        except (OSError, UnicodeError, ValueError, struct.error, IndexError) as error:
            reason = f"{server[0]}: {error}"
    raise LookupFailed(reason)


async def _ask(name: str, server: tuple[str, int]) -> Txt:
    number = secrets.randbelow(1 << 16)
    query = _query(number, name)
    answer = await _over_udp(query, server)
    if struct.unpack_from("!H", answer, 2)[0] & _TRUNCATED:
        answer = await _over_tcp(query, server)
    return _read(answer, number)


async def _over_udp(query: bytes, server: tuple[str, int]) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as door:
        door.setblocking(False)
        await loop.sock_connect(door, server)
        await loop.sock_sendall(door, query)
        while True:  # somebody else's late answer has another number
            answer = await loop.sock_recv(door, 4096)
            if answer[:2] == query[:2]:
                return answer


async def _over_tcp(query: bytes, server: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise ValueError("the answer breaks off") from None
    finally:
        writer.close()


def _query(number: int, name: str) -> bytes:
    labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
    if any(not 0 < len(label) < 64 for label in labels):
        raise ValueError(f"{name} is not a domain name")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack("!HH", _TXT, _IN)
    header = struct.pack("!HHHHHH", number, _RECURSE, 1, 0, 0, 1)
    return header + question + b"\0" + struct.pack("!HHIH", _OPT, _EDNS_SIZE, 0, 0)


def _read(answer: bytes, number: int) -> Txt:
    known, flags, questions, answers = struct.unpack_from("!HHHH", answer)
    if known != number:
        raise ValueError("an answer to another question")
    if flags & _RCODE == _NO_SUCH_NAME:
        return Txt(exists=False)
    if flags & _RCODE != _NO_ERROR:
        raise ValueError(f"the name server failed (code {flags & _RCODE})")
    place = 12
    for _ in range(questions):
        place = _skip_name(answer, place) + 4
    texts = []
    for _ in range(answers):
        place = _skip_name(answer, place)
        kind, _class, _ttl, length = struct.unpack_from("!HHIH", answer, place)
        place += 10
        if kind == _TXT:
            texts.append(_joined(answer[place : place + length]))
        place += length
    return Txt(exists=True, texts=tuple(texts))


def _skip_name(answer: bytes, place: int) -> int:
    while length := answer[place]:
        if length >= 0xC0:  # a pointer ends the name
            return place + 2
        place += 1 + length
    return place + 1


def _joined(data: bytes) -> str:
    """The strings of one record belong together (RFC 7208 §3.3)."""
    parts, place = [], 0
    while place < len(data):
        parts.append(data[place + 1 : place + 1 + data[place]])
        place += 1 + data[place]
    return b"".join(parts).decode("utf-8", "replace")
