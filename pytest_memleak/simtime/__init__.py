"""Simulated time: every clock the app can read advances with the run."""
