"""The base of engines that write files: graphs, and primitives over few nodes."""
