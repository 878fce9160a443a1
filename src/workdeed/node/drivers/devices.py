"""Devices of a sandbox's own, where it could do harm to those of the machine.

With an agent that runs as root a task is root for the kernel too, which then owns `/dev/null` of
the whole machine: it could take the rights off it. bubblewrap can't show devices read-only.
"""

import os
import stat
from pathlib import Path
from typing import Final

from workdeed.node.errors import DriverError
from workdeed.node.files import private_directory

_NAMES: Final = ("full", "null", "random", "tty", "urandom", "zero")


def own_devices(folder: Path) -> dict[str, Path]:
    """Make devices for one task in `folder`, anew; return them by their places inside.

    There are none where those of the machine belong to another user than the agent's.

    Raises:
        DriverError: if none can be made.

    """
    originals = {f"/dev/{name}": Path("/dev", name).stat() for name in _NAMES}
    if all(one.st_uid != os.geteuid() for one in originals.values()):
        return {}
    private_directory(folder)
    made = {place: folder / Path(place).name for place in originals}
    try:
        for place, path in made.items():
            path.unlink(missing_ok=True)
            os.mknod(path, stat.S_IFCHR, originals[place].st_rdev)
            path.chmod(0o666)
        # Where the file system is mounted without devices, they are there and can't be opened.
        os.close(os.open(made["/dev/null"], os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        raise DriverError(
            f"state_dir: {folder} can't hold devices ({error.strerror}), so that tasks would get "
            "those of the machine as their owner; run the agent as a user of its own"
        ) from error
    return made
