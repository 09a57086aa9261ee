"""Driving the app: its lifespan, its requests, its traffic."""
