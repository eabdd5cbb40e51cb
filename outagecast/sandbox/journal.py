"""The ground truth: an append-only file of JSON lines, one record a line, written before the sender gets an answer.

Records carry `n` (1, 2, 3 …, never reused), `type`, `at` (the sandbox clock) and `real_at` (Unix seconds). A record is
one `write(2)` on a descriptor opened with O_APPEND: it survives the death of this process and never mixes with another.
Only offsets are kept in memory: bodies are read back from the file.
"""

import fcntl
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from outagecast.sandbox.clock import SandboxClock

Record = dict[str, Any]


class JournalBusy(Exception):
    """Another sandbox writes to this file."""


class Journal:
    def __init__(self, path: Path, clock: SandboxClock) -> None:
        """Open or continue the log at `path`; raises JournalBusy, OSError."""
        self.path = path
        self._clock = clock
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise JournalBusy(f"{path} is in use by another sandbox") from None
        self._starts = array("Q")
        self._end = 0
        self._find_lines()

    def __len__(self) -> int:
        return len(self._starts)

    def append(self, kind: str, fields: Mapping[str, Any]) -> Record:
        """Write one record and give it back with its number; returns after the write."""
        record: Record = {
            "n": len(self._starts) + 1,
            "type": kind,
            "at": self._clock.now().isoformat(),
            "real_at": self._clock.wall(),
            **fields,
        }
        line = json.dumps(record).encode() + b"\n"
        written = os.write(self._fd, line)
        while written < len(line):
            written += os.write(self._fd, line[written:])
        self._starts.append(self._end)
        self._end += len(line)
        return record

    def read(self, number: int) -> Record:
        """The record with this number; KeyError when there is none."""
        if not 1 <= number <= len(self._starts):
            raise KeyError(number)
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else self._end
        record: Record = json.loads(os.pread(self._fd, end - start, start))
        return record

    def records(self, *, after: int = 0) -> Iterator[Record]:
        """All records with a number above `after`, in order, those written meanwhile included."""
        number = after + 1
        while number <= len(self._starts):
            yield self.read(number)
            number += 1

    def close(self) -> None:
        os.close(self._fd)

    def _find_lines(self) -> None:
        """Index an existing file; half a line left by a crash was never answered for, so it is cut off."""
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._fd, self._end)
                    break
                self._starts.append(self._end)
                self._end += len(line)
