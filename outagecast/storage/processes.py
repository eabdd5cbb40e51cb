"""Other processes of this machine, for whoever finds what one of them has left."""

import os


def lives(pid: int) -> bool:
    """Whether a process with this number is running; also one that is not ours to ask."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
