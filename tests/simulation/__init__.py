"""The real code of the cache in a world of one thread: time, the order of all steps, and every fault are drawn from a seed."""
