"""The boxfleet command: what people hold in the hand.

Belongs here: arguments, progress, tables, words. Does not: anything a program could want without a terminal.
"""
