"""AWS's rules on a laptop: an embedded multi-account AWS with a virtual clock.

Never shipped in the Lambda package.
"""
