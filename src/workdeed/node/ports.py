"""TCP ports for workloads."""

import random
import socket
from collections.abc import Collection

from workdeed.node.errors import DriverError


class PortAllocator:
    """Gives out ports that nothing listens on now.

    Another program may take a port before the workload does; the workload then fails to start,
    and its next try gets another one.
    """

    def __init__(self, host: str, ports: range | None = None) -> None:
        """Give ports of `host` from `ports`, or where that is None from what the kernel offers."""
        self._host = host
        self._ports = ports

    def allot(self, taken: Collection[int], preferred: int | None = None) -> int:
        """Return a free port that is not in `taken`: the `preferred` one if it is free.

        Raises:
            DriverError: if there is none.

        """
        first = [preferred] if preferred is not None else []
        for port in (*first, *self._candidates()):
            found = self._free(port)
            if found is not None and found not in taken:
                return found
        raise DriverError("port_range: no port is free; make the range larger")

    def _candidates(self) -> list[int]:
        if self._ports is None:
            return [0] * 64
        return random.sample(self._ports, len(self._ports))

    def _free(self, port: int) -> int | None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family) as probe:
            # Closed connections of an earlier process may linger on the port; a listener may not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, port))
            except OSError:
                return None
            bound: int = probe.getsockname()[1]
            return bound
