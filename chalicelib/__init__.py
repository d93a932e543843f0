"""ami-promoter: copies golden AMIs to target accounts under their own keys, or shares them, and closes what it opened.

Importing it makes Python's garbage collector run less often: modules, classes and botocore's models stay in memory, and
collecting them again and again takes a tenth of a cold start.
"""

import gc

gc.set_threshold(20_000, 20, 20)
