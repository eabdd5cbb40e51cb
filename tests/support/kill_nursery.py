"""A process that has loaded the daemon's code once and forks a daemon for each order: a start costs milliseconds.

Orders come as lines of JSON on stdin: {"config", "log", "exit", "wave_limit", "environ"}, and "role" and "port" for
others than the usual ones; the answer is {"pid"}.
When a daemon ends, its exit status (negative: the signal) is written to its "exit" file. At the end of stdin all go.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from outagecast.app import on_a_loop, run
from outagecast.config import load_config
from outagecast.engine.owners import Role
from outagecast.log import set_up_logging


class Nursery:
    def __init__(self) -> None:
        self._exits: dict[int, Path] = {}
        self._early: dict[int, int] = {}

    def serve(self) -> None:
        signal.signal(signal.SIGCHLD, self._reap)
        gc.freeze()
        for line in sys.stdin:
            order = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _live(order)
            self._exits[pid] = Path(order["exit"])
            if pid in self._early:
                self._say(pid, self._early.pop(pid))
            print(json.dumps({"pid": pid}), flush=True)
        for pid in list(self._exits):
            os.kill(pid, signal.SIGKILL)

    def _reap(self, _number: int, _frame: FrameType | None) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid in self._exits:
                self._say(pid, code)
            else:
                self._early[pid] = code

    def _say(self, pid: int, code: int) -> None:
        path = self._exits.pop(pid)
        half = path.with_suffix(".new")
        half.write_text(str(code))
        half.replace(path)


def _live(order: dict[str, Any]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environ"])
    code = 1
    try:
        set_up_logging(sys.stderr, level="warning")
        config = load_config(Path(order["config"]), environ=os.environ)
        role = Role(order.get("role", Role.ALL))
        more = {"wave_limit": order["wave_limit"], "role": role, "port": order.get("port")}
        on_a_loop(run(config, **more, on_ready=lambda port: None))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    Nursery().serve()
