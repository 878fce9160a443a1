"""Tests of JobLens."""
