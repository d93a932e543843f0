"""The phases of a delivery, one file each: commands, events, what they change, refusals, deadline, what is left to do.

A delivery passes them from the top to the bottom, and imports run the same way: waiting, checking, awaiting_slot,
opening, copying, imaging, launching, publishing; from each of them it can come to ``ending``.
"""
