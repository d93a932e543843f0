"""ami-promoter: moves golden AMIs from a hub account to its targets, re-encrypted, leaving nothing open.

A process that imports it looks for garbage less often than Python does by itself: modules, classes and descriptions of
AWS's services stay, and looking through them again and again takes a tenth of a cold start.
"""

import gc

gc.set_threshold(20_000, 20, 20)
