"""What every framework shares and none owns: cookie rules, origin checks, the dict-like session, the ASGI middleware."""
