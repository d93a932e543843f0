"""The phases of a delivery, one file each: commands, events, what they change, refusals, deadline, what is left to do.

A delivery passes them in this order, and imports run the same way: waiting, checking, awaiting_slot, opening, copying,
imaging, launching, publishing. From each of them it can come to ``ending``. What was delivered can begin again in
``recalling``.
"""
