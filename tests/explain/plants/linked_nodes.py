"""Each object refers to the one before: no collection grows.

holder: linked_nodes.HEAD
"""


class Node:
    def __init__(self, previous):
        self.previous = previous
        self.data = bytes(300)  # LEAK


HEAD = None


def work():
    global HEAD
    HEAD = Node(HEAD)
