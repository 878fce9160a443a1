"""Tests of JobDesk, one file a function."""
