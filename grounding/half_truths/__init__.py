"""Texts that are right but for one detail: units, foils, the metric, the veto (CS-CLIP)."""
