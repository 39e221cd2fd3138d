"""The sync protocol as a model that is explored: the real client core and the real engine, with a network and processes that fail."""
