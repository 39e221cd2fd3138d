"""What can be done: the rules of sessions and documents. Loop-free, thread-free, storage-free."""
