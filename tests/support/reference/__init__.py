"""References: what is native, or written for speed, once more as plainly as can be; tests compare both.

They know docs/artifacts.md, a paper or a protocol, and share nothing with what they are compared with.
"""
