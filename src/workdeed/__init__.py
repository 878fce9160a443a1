"""Workdeed places paid workloads on licensed edge nodes and settles them by verified uptime."""
