"""Judgement, one file a kind of fact: facts and thresholds in, reasons out. `claims.decide` puts the reasons
together."""
