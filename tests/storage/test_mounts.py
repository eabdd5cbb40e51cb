"""A database file on a network file system is refused, with the mend; a local one is not."""

from pathlib import Path, PurePath

import pytest

from outagecast.storage.mounts import mount_of, refuse_network
from outagecast.storage.refused import DatabaseRefused

LOCAL = "21 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"


def line(point: str, kind: str, source: str = "server:/export") -> str:
    return f"36 21 0:32 / {point} rw,relatime shared:9 master:2 - {kind} {source} rw,vers=4.2\n"


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "afs"],
)
def test_what_other_machines_may_have_mounted_too_is_refused(kind: str) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        refuse_network(Path("/srv/outagecast/outagecast.db"), LOCAL + line("/srv", kind))
    [said] = str(refused.value).splitlines()
    assert kind in said
    assert "server:/export at /srv" in said
    assert "local disk" in said
    assert "db copy" in said


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.mergerfs", "fuse"]
)
def test_a_disk_of_this_machine_is_taken(kind: str) -> None:
    refuse_network(Path("/srv/outagecast/outagecast.db"), LOCAL + line("/srv", kind))


def test_the_nearest_mount_counts_and_the_last_of_two_on_one_point() -> None:
    mounts = LOCAL + line("/srv", "nfs4") + line("/srv/disk", "xfs", "/dev/sdb") + line("/srvother", "cifs")
    refuse_network(Path("/srv/disk/outagecast.db"), mounts)
    refuse_network(Path("/home/outagecast.db"), mounts)
    with pytest.raises(DatabaseRefused):
        refuse_network(Path("/srv/diskette/outagecast.db"), mounts)
    found = mount_of(PurePath("/srv/x"), mounts + line("/srv", "xfs"))
    assert found is not None
    assert found.kind == "xfs"


def test_blanks_in_names_are_read_and_broken_lines_are_not() -> None:
    found = mount_of(
        PurePath("/mnt/the noc/x.db"), LOCAL + "nonsense\n" + line("/mnt/the\\040noc", "cifs", "//nas/a\\134b")
    )
    assert found is not None
    assert (found.point, found.source, found.network) == ("/mnt/the noc", "//nas/a\\b", True)


def test_the_root_of_a_sandboxed_container_is_its_own_disk() -> None:
    refuse_network(Path("/var/lib/x.db"), line("/", "9p", "none"))
    refuse_network(Path("/var/lib/x.db"), line("/", "virtiofs", "root"))


def test_the_file_that_a_link_leads_to_is_what_is_judged(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (tmp_path / "near").symlink_to(far)
    with pytest.raises(DatabaseRefused):
        refuse_network(tmp_path / "near" / "x.db", LOCAL + line(str(far.resolve()), "nfs4"))


def test_where_we_are_now_is_taken(tmp_path: Path) -> None:
    refuse_network(tmp_path / "outagecast.db")
