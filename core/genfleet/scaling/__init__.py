"""How many workers a queue deserves, and why. Pure: nothing here reads a clock, a network or a file.

The operator, the local fleet and the simulator call the same `decide.decide`. Read in this order:

    policy        what the owner of the queue asked for
    schedule      the higher minimums that hold at certain times
    observation   what a program saw at one moment
    decide        policy, observation, memory → decision
    drain         decision, observation → which workers leave, and which are called back
"""
