"""Runners: how a spec becomes something that a driver can run."""
