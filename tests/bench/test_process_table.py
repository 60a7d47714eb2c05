"""The table of processes: who is below whom, and what they used."""

from bench.process_table import Entry, ticks, tree

TABLE = {
    1: Entry(parent=0, ticks=1000, ended=False),
    20: Entry(parent=30, ticks=1, ended=False),
    30: Entry(parent=10, ticks=2, ended=False),
    10: Entry(parent=1, ticks=4, ended=False),
    40: Entry(parent=10, ticks=8, ended=True),
    50: Entry(parent=1, ticks=16, ended=False),
}


def test_a_tree_has_parents_before_their_children_and_nobody_else() -> None:
    assert tree(TABLE, 10) == [10, 30, 40, 20]
    assert tree(TABLE, 99) == [99]


def test_ticks_are_those_of_the_whole_tree() -> None:
    assert ticks(TABLE, 10) == 15
    assert ticks(TABLE, 99) == 0
