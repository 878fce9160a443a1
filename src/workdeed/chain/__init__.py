"""The chain as the other packages see it; importing this file alone loads nothing."""
