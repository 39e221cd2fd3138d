"""Frameworks, one module each: thin, and independent of each other except that FastAPI builds on Starlette."""
