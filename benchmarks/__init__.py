"""Benchmarks. They run as the program does, with threads that sleep while they wait."""

from shapebias.commands.common import share_processors

share_processors()
