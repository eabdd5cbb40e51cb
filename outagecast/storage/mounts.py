"""On which kind of file system a file lies. SQLite over a network loses data: its locks and its shared memory hold
among the processes of one machine only.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from outagecast.storage.refused import DatabaseRefused

MOUNTS = Path("/proc/self/mountinfo")
"""proc_pid_mountinfo(5); other systems than Linux have none, and are not asked."""
NETWORK = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "virtiofs", "vboxsf",
    }
)  # fmt: skip
_ALSO_ROOTS = frozenset({"9p", "virtiofs"})
"""How the sandboxes of gVisor and Kata show a container its own disk."""
_FUSE = frozenset(
    {
        "ceph", "ceph-fuse", "davfs", "davfs2", "gcsfuse", "glusterfs", "goofys", "juicefs", "moosefs", "mfs", "rclone",
        "s3fs", "s3ql", "seaweedfs", "smbnetfs", "sshfs", "vmhgfs-fuse",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """`kind` as the kernel names it (`ext4`, `nfs4`, `fuse.sshfs`); `source`: the device or the server."""

    point: str
    kind: str
    source: str

    @property
    def network(self) -> bool:
        """Whether other machines may have it mounted too. A FUSE that does not say what it is, is not suspected."""
        if self.point == "/" and self.kind in _ALSO_ROOTS:
            return False
        family, _, what = self.kind.partition(".")
        return self.kind in NETWORK or (family in ("fuse", "fuseblk") and what in _FUSE)


def refuse_network(database: Path, mounts: str | None = None) -> None:
    """DatabaseRefused, with the mend, for a file on a network file system. `mounts`: the text of mountinfo; without one
    the system's own is read.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return
    found = mount_of(database.absolute().resolve(), mounts)
    if found is not None and found.network:
        raise DatabaseRefused(
            f"{database}: lies on a network file system ({found.kind}, {found.source} at {found.point}), where SQLite "
            "loses data: put it on a local disk, or move to PostgreSQL (outagecast db copy)"
        )


def mount_of(path: PurePath, mounts: str) -> Mount | None:
    """The mount that holds a path: the longest mount point above it, of equal ones the last (it hides the others)."""
    best: Mount | None = None
    for line in mounts.splitlines():
        mount = _read(line)
        if mount is None or not path.is_relative_to(mount.point):
            continue
        if best is None or len(mount.point) >= len(best.point):
            best = mount
    return best


def _read(line: str) -> Mount | None:
    """`36 35 98:0 /root /point options optional… - type source options`; None for a line that is not so."""
    left, dash, right = line.partition(" - ")
    before, after = left.split(" "), right.split(" ")
    if not dash or len(before) < 6 or len(after) < 2:
        return None
    return Mount(point=_plain(before[4]), kind=after[0], source=_plain(after[1]))


def _plain(field: str) -> str:
    """Blanks, tabs, newlines and backslashes are written as `\\040` and so on."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
