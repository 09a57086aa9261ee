"""A text that gets longer, an attribute of a module's object.

holder: rebound_attribute.journal.text
"""


class Journal:
    text = ""


journal = Journal()


def work():
    journal.text += "a request came in\n" * 20  # LEAK
