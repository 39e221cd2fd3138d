"""The server's reducer and the browser's, given the same."""
