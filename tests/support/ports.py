"""Ports for servers that cannot be told to pick one themselves."""

from croupierctl.stack_process import free_port

__all__ = ["free_port"]
