"""The recipe of V2, distilled, pruned and quantised."""
