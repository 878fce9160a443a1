"""A state machine over licenses, bonds, standings and the fee vault."""
