"""Tell the plugin about client classes that it does not know."""

from pytest_memleak import ClientProbe


def pytest_memleak_client_probes(config):
    return [
        ClientProbe(
            library="search",
            module="search",
            class_names=("SearchClient",),
            is_open=lambda client: client.connected,
        )
    ]
