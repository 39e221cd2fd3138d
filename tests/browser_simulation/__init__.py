"""The browser client as it is shipped, many of it, with servers, in simulated time."""
