"""Sensors: what the process holds, read after every iteration."""
