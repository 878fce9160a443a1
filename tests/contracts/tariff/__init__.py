"""Tests of Tariff."""
