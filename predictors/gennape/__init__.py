"""GENNAPE: networks of any space scored before they are trained (Mills et al., 2023, arXiv 2211.17226)."""
