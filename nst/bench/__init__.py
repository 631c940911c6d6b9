"""`python -m nst bench`: time and memory per step, compared with plain programs."""
