"""Judgement, one file for each kind of fact: takes facts and thresholds, returns reasons. `claims.decide` puts the
reasons together."""
