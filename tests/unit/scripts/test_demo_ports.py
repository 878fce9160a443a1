"""Ports that are chosen before somebody listens there."""

from __future__ import annotations

import socket

import pytest

from scripts._demo.ports import free_port, free_ports


def test_a_port_is_nobody_elses_until_it_is_listened_on() -> None:
    """Another process got it meanwhile, and what was told it could not listen there."""
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    for _ in range(2):  # as a process that is started again
        with socket.create_server(("127.0.0.1", port)) as server:
            socket.create_connection(("127.0.0.1", port)).close()
            server.accept()[0].close()


def test_each_port_is_another() -> None:
    assert len(set(free_ports(20))) == 20
