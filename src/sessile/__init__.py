"""Sessions and live documents that keep people where they were."""

__all__ = ["__version__"]
__version__ = "0.1.0"
