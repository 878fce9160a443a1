"""The fault campaign of the keeper: kills, reorgs, bad nodes, and a judge that reads the chain."""
