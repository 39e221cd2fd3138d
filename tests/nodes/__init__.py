"""Three server processes on one PostgreSQL and one Redis are one service, whatever becomes of any of them."""
