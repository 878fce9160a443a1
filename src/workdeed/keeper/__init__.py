"""The keeper: one process that joins chain, placement, oracle and nodes."""
