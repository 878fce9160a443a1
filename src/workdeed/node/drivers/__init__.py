"""Drivers: how a workload is run on this machine."""
