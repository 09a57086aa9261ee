"""The decision: growth, its interval, and what it means. Pure."""
