"""The demonstration: an incident report that several devices write at once. An application like a user's own, on `Sessile(app)`."""
