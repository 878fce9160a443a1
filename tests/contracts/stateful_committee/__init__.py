"""A state machine over seats, reports, equivocation and rewards."""
