"""Oracles, statistical checks and small workflows that the tests share; it has no tests."""
