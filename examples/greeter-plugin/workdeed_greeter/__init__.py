"""An example of what a package of one's own adds to a node: a plugin, a runner, a driver."""
