"""The product as a process of its own, so that memory, CPU and lag are its alone.

`python -m tests.bench.product fill FOLDER CUSTOMERS` makes a provider's database;
`python -m tests.bench.product email|sms FOLDER CUSTOMERS PORT` declares on it and prints what it took.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from outagecast.app import on_a_loop, open_core
from outagecast.config import parse_config
from outagecast.domain.message import ChannelName
from tests.bench.house import config_text, fill, house, wave
from tests.bench.report import peak_memory_mb


async def _fill(folder: Path, customers: int) -> dict[str, Any]:
    config = parse_config(config_text(smtp_port=1), name="bench.toml", folder=folder, environ={})
    async with open_core(config) as core:
        await fill(core, customers)
    return {"customers": customers}


async def _send(channel: ChannelName, folder: Path, customers: int, port: int) -> dict[str, Any]:
    match channel:
        case ChannelName.EMAIL:
            text = config_text(smtp_port=port)
        case ChannelName.SMS:
            text = config_text(sms_url=f"http://127.0.0.1:{port}")
    async with house(folder, text) as (core, daemon):
        return asdict(await wave(core, daemon, channel, customers)) | {"memory_mb": peak_memory_mb()}


def main(words: list[str]) -> None:
    match words:
        case ["fill", folder, customers]:
            answer = on_a_loop(_fill(Path(folder), int(customers)))
        case [channel, folder, customers, port]:
            answer = on_a_loop(_send(ChannelName(channel), Path(folder), int(customers), int(port)))
        case _:
            raise SystemExit(__doc__)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
