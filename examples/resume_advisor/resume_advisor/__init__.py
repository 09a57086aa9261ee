"""An AI resume advisor: a FastAPI service that lives in a 2 GB container and must not leak."""
