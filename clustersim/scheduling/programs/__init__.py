"""Programs that divide a heterogeneous cluster among jobs: pure functions, without a clock.

Gavel's objectives give each job fractions of time by pool (`gavel`, `water_filling`), which
`rounds` realises; Sia and Pollux give each job a number of accelerators of one pool (`sia`,
`pollux`).
"""
