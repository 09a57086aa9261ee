"""A class is made per request and registered.

holder: made_classes.MODELS
"""

MODELS = {}


def work():
    name = f"Model{len(MODELS)}"
    MODELS[name] = type(name, (), {"fields": ("a", "b")})  # LEAK
