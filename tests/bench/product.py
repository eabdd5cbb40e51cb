"""The product as a process of its own, so that memory, CPU and lag are its alone. FOLDER holds its `bench.toml`.

`python -m tests.bench.product fill FOLDER CUSTOMERS` makes a provider's database and a token for its API;
`python -m tests.bench.product email|sms FOLDER CUSTOMERS` declares on it and prints what it took.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from outagecast.app import on_a_loop, open_core
from outagecast.config import parse_config
from outagecast.domain.message import ChannelName
from outagecast.domain.outage import Role
from tests.bench.house import WHO, fill, house, wave
from tests.bench.report import peak_memory_mb
from tests.bench.settings import SETTINGS


async def _fill(folder: Path, customers: int) -> dict[str, Any]:
    config = parse_config((folder / SETTINGS).read_text(), name=SETTINGS, folder=folder, environ={})
    async with open_core(config) as core:
        await fill(core, customers)
        token = await core.people.add_token("bench", Role.OPERATOR, actor=WHO)
    return {"customers": customers, "token": token}


async def _send(channel: ChannelName, folder: Path, customers: int) -> dict[str, Any]:
    async with house(folder, (folder / SETTINGS).read_text()) as (core, daemon):
        return asdict(await wave(core, daemon, channel, customers)) | {"memory_mb": peak_memory_mb()}


def main(words: list[str]) -> None:
    match words:
        case ["fill", folder, customers]:
            answer = on_a_loop(_fill(Path(folder), int(customers)))
        case [channel, folder, customers]:
            answer = on_a_loop(_send(ChannelName(channel), Path(folder), int(customers)))
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
