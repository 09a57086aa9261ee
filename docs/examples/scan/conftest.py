"""What a scan cannot know: who is logged in, what must not be called, how much each operation may grow."""

from app import current_user


def pytest_memleak_scan_operation(operation):
    operation.app.dependency_overrides[current_user] = lambda: "ada"
    if operation.name == "GET /health":
        operation.settings["max_growth"] = "1kB/request"
    if operation.path.startswith("/payments"):
        operation.skip = "would really pay"
