"""What is asked of a dataset: each probe takes the subject and the seconds it may use, and answers
with plain values.

`target` finds the subject, `looking` reads its first samples, `items`, `profiling` and `pictures`
say where a sample's time goes, `rereading` whether it stays the same, `batches`, `growth` and
`pickling` what workers cost, `inside` what its parts are, `ceiling` what the machine could reach.
"""
