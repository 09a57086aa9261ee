"""A client library of one's own."""


class SearchClient:
    def __init__(self) -> None:
        self.connected = True

    def close(self) -> None:
        self.connected = False
