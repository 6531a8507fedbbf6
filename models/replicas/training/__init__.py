"""What the recipes share: the loop, the optimiser, losses that lead attention, packing, the exam.

May import the mini benchmarks. Start with `loop`.
"""
