"""The phases of a delivery, one file each: commands, events, what they change, refusals, deadline, what is left to do.

A delivery passes them in this order: wave, approval, checking, awaiting_slot, opening, copying, imaging, launching,
publishing; where the AMI itself is shared, it then rests in ``shared``. From each of them it can come to ``ending``.
What was delivered can begin again in ``recalling``.
"""
