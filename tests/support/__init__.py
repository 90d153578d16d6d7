"""Oracles, statistical checks and small workflows that the tests share; no test lives here."""
