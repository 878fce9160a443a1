"""Ports for workloads."""

import socket

import pytest

from workdeed.node.errors import DriverError
from workdeed.node.ports import PortAllocator


@pytest.fixture
def taken() -> socket.socket:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_port_that_is_given_can_be_listened_on():
    port = PortAllocator("127.0.0.1").allot([])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()


def test_a_free_port_is_kept_and_a_taken_one_replaced(taken: socket.socket):
    ports = PortAllocator("127.0.0.1")
    port = ports.allot([])
    assert ports.allot([], port) == port
    assert ports.allot([port], port) != port
    occupied = taken.getsockname()[1]
    assert ports.allot([], occupied) != occupied


def test_a_range_is_kept_to_and_can_run_out(taken: socket.socket):
    occupied = taken.getsockname()[1]
    with pytest.raises(DriverError, match="port_range"):
        PortAllocator("127.0.0.1", range(occupied, occupied + 1)).allot([])
    free = PortAllocator("127.0.0.1").allot([])
    assert PortAllocator("127.0.0.1", range(free, free + 1)).allot([]) == free
    with pytest.raises(DriverError, match="port_range"):
        PortAllocator("127.0.0.1", range(free, free + 1)).allot([free])
