"""Campaigns: long runs of drawn programs, by several processes or a cluster, kept as they go."""
