"""Rewriting a code base that used another session library, with a way back. Needs LibCST (`pip install "sessile[adopt]"`)."""
