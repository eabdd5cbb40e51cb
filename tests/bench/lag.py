"""How late an event loop is.

`python -m tests.bench.lag` measures one with nothing to do, until SIGTERM: what the machine's other work alone does.
"""

import asyncio
import json
import signal
import time
from statistics import quantiles


async def watch(lags: list[float], every: float = 0.01) -> None:
    """Note the lag of this loop in seconds, again and again, until cancelled."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(every)
        lags.append(time.monotonic() - before - every)


def p99_ms(lags: list[float]) -> float:
    """What 99 of 100 lags stay below, in milliseconds; 0 where there are too few to say."""
    return quantiles(lags, n=100)[98] * 1000 if len(lags) > 1 else 0.0


async def _idle() -> list[float]:
    lags: list[float] = []
    watcher = asyncio.create_task(watch(lags))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watcher.cancel)
    await asyncio.gather(watcher, return_exceptions=True)
    return lags


if __name__ == "__main__":
    print(json.dumps({"idle_lag_p99_ms": p99_ms(asyncio.run(_idle()))}))
