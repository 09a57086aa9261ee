"""A StringIO held by an instance.

holder: text_stream.journal.out
"""

import io


class Journal:
    def __init__(self):
        self.out = io.StringIO()

    def note(self, text):
        self.out.write(text)  # LEAK


journal = Journal()


def work():
    journal.note("a line of some length, again and again\n" * 10)
