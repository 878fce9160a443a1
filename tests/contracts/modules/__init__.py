"""Tests of the modules that need no deployment."""
