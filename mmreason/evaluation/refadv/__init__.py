"""Diagnosis: does a model read the expression, or only the picture?"""
