"""After a leak: which line, which collection, which kind."""
