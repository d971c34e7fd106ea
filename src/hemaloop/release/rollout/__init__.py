"""Rollouts: a version reaches a channel's devices in phases, and reports decide whether it goes on."""
