"""The control groups of Linux that limit this process: those of a container, a Slurm job, a systemd unit."""

from pathlib import Path

MOUNT, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def control_groups(controller: str) -> list[Path]:
    """Return the folders of this process's group and of all above it, of version 2 and of version 1.

    A folder need not be there: in a container, the group may be named as the machine sees it.
    """
    try:
        lines = MEMBERSHIP.read_text().splitlines()
    except OSError:  # not Linux
        return []
    folders = []
    for line in lines:  # "0::/a/b" in version 2, "4:memory:/a/b" in version 1
        _, controllers, name = line.split(":", 2)
        if controller in controllers.split(",") or not controllers:
            root = MOUNT / controller if controllers else MOUNT
            group = Path(name).relative_to("/")
            folders += [root / one for one in (group, *group.parents)]
    return folders
