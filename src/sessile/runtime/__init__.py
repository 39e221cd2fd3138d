"""What an application talks to: the facades, their settings, and the background work that keeps promises between requests."""
